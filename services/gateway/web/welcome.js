// What of a `welcome` can be used.

export function usable({ online, limits, sections }) {
  return { online: Number.isFinite(online) ? online : null, limits: numbers(limits), sections: texts(sections) };
}

export function texts(value) {
  return Array.isArray(value) ? value.filter((text) => typeof text === 'string') : [];
}

function numbers(value) {
  const usable = Object.entries(value ?? {}).filter(([, limit]) => Number.isSafeInteger(limit) && limit > 0);
  return Object.fromEntries(usable);
}
