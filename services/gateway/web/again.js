// Meeting the same stranger again: until when it can be asked for.

export const AGAIN_WINDOW = 60_000;

// Ends after which the gateway lets two people meet again, if both ask.
const ENDS = new Set(['you', 'stranger', 'away', 'error']);

// The moment from which it is too late, or 0 where it never can be.
export function againUntil({ role, ended, endedAt, unmet }) {
  const may = role !== 'spy' && ended && !ended.blocked && ENDS.has(ended.by) && !unmet;
  return may ? endedAt + AGAIN_WINDOW : 0;
}
