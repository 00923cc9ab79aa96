// How many people are here.

// Exact below a thousand, then floored to thousands: nobody needs it closer, and it does not flicker.
export function onlineText(count) {
  if (!Number.isFinite(count) || count < 0) return '';
  if (count < 1_000) return `${Math.floor(count)} online now`;
  return `${(Math.floor(count / 1_000) * 1_000).toLocaleString('en')}+ online now`;
}

export async function fetchOnline() {
  try {
    const response = await fetch('/v1/stats', { credentials: 'omit', cache: 'no-store' });
    return response.ok ? (await response.json()).online : null;
  } catch {
    return null;
  }
}
