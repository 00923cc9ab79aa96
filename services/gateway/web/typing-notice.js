// Who is typing at the other end: one stranger, or to a spy perhaps both.

import { byId } from './elements.js';
import { listed, speaker } from './words.js';

// A lost `typing off` must not leave the stranger typing for ever.
const AT_MOST = 60_000;

export class TypingNotice {
  #timers = new Map();

  show(from) {
    clearTimeout(this.#timers.get(from));
    this.#timers.set(from, setTimeout(() => this.hide(from), AT_MOST));
    this.#write();
  }

  hide(from) {
    clearTimeout(this.#timers.get(from));
    this.#timers.delete(from);
    this.#write();
  }

  clear() {
    for (const from of [...this.#timers.keys()]) this.hide(from);
    this.#write();
  }

  #write() {
    const typists = [...this.#timers.keys()].sort().map(speaker);
    byId('typing').hidden = typists.length === 0;
    if (typists.length > 0) {
      byId('typing-text').textContent = `${listed(typists)} ${typists.length > 1 ? 'are' : 'is'} typing …`;
    }
  }
}
