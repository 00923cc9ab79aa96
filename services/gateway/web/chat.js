// One chat, as its `matched` describes it and as a reload of the tab finds it again.

import { Delivery, Watched } from './delivery.js';
import { texts } from './welcome.js';

const LINES_KEPT = 400;

// `wish` is what was looked for, or null where nothing but this stranger was; `window` bounds what is not acknowledged.
export function newChat(frame, wish, window) {
  const kind = wish?.kind ?? 'chat';
  return {
    id: frame.chat,
    role: frame.role === 'spy' ? 'spy' : 'stranger',
    resume: frame.resume,
    kind,
    common: texts(frame.common_interests),
    asked: kind === 'chat' && wish !== null && wish.interests.length > 0,
    language: typeof frame.language === 'string' ? frame.language : null,
    question: typeof frame.question === 'string' ? frame.question : null,
    startedAt: Date.now(),
    lines: [],
    delivery: new Delivery({}, window),
    watched: new Watched(),
    away: false,
    // Until when the stranger may come back, if that is known.
    awayUntil: null,
    ended: null,
  };
}

// Marks those of one's own lines that have these numbers. Returns the ones that changed.
export function mark(lines, seqs, state) {
  const numbers = new Set(seqs);
  const changed = lines.filter((line) => line.from === 'you' && numbers.has(line.seq) && line.state !== state);
  for (const line of changed) line.state = state;
  return changed;
}

export function forStorage(chat) {
  return { ...chat, lines: chat.lines.slice(-LINES_KEPT) };
}

export function fromStorage(stored) {
  const { delivery, watched, awayUntil = null } = stored;
  return { ...stored, awayUntil, delivery: new Delivery(delivery), watched: new Watched(watched) };
}
