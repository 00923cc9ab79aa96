// Light or dark. The dark colours are a style sheet of their own that follows the system; a setting overrules it by
// changing that sheet's media query, so no colour is written twice. Loaded in the head, before the first paint.

import { loadSettings } from './settings.js';

const MEDIA = { auto: '(prefers-color-scheme: dark)', light: 'not all', dark: 'all' };

export function applyTheme(theme) {
  document.getElementById('dark-colours').media = MEDIA[theme];
}

applyTheme(loadSettings().theme);
