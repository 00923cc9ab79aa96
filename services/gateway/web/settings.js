// What is remembered on this device from visit to visit. Nothing of it is sent anywhere but in `find`.

const KEY = 'stroll.settings';
const DEFAULTS = {
  interests: [],
  languages: null,
  onlyInterests: false,
  // What the server last offered, to be there at the next visit before it is asked, and what was chosen of it.
  sections: [],
  section: null,
  autoNext: false,
  theme: 'auto',
};

const FITS = {
  interests: isTexts,
  languages: (value) => value === null || isTexts(value),
  onlyInterests: (value) => typeof value === 'boolean',
  sections: isTexts,
  section: (value) => value === null || typeof value === 'string',
  autoNext: (value) => typeof value === 'boolean',
  theme: (value) => ['auto', 'light', 'dark'].includes(value),
};

// A browser may forbid storage altogether; then everything works until the page is left.
export function loadSettings(storage = deviceStorage()) {
  const settings = { ...DEFAULTS };
  try {
    const stored = JSON.parse(storage.getItem(KEY)) ?? {};
    for (const name of Object.keys(DEFAULTS)) if (FITS[name](stored[name])) settings[name] = stored[name];
  } catch {
    // Unreadable settings are as good as none.
  }
  return settings;
}

export function saveSettings(settings, storage = deviceStorage()) {
  try {
    storage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // See loadSettings.
  }
}

function deviceStorage() {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}

function isTexts(value) {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}
