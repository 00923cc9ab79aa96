// What is seen while one waits: for whom, since when it takes longer than usual, and what changed meanwhile.

import { byId } from './elements.js';
import { usually, waitingNote, waitingTitle } from './words.js';

// Nothing is called slow before.
const SLOW_AT_LEAST = 5_000;

export class WaitingView {
  #wish = null;
  #since = 0;
  #timer = null;
  #status;

  // `status(text)` says what is to be heard, too.
  constructor(status) {
    this.#status = status;
  }

  open(wish) {
    this.close();
    this.#wish = wish;
    this.#since = Date.now();
    byId('waiting-estimate').textContent = '';
    this.news({});
  }

  close() {
    clearTimeout(this.#timer);
  }

  // `estimate` is in milliseconds from the beginning of the wait, if the gateway has one.
  news({ estimate, widened, busy }) {
    const note = waitingNote(this.#wish, { widened, busy });
    if (byId('waiting-note').textContent !== note) byId('waiting-note').textContent = note;
    const title = waitingTitle(this.#wish, { widened });
    byId('waiting-title').textContent = title;
    this.#status(widened || busy ? note : title);
    if (Number.isFinite(estimate)) this.#expect(estimate);
  }

  #expect(estimate) {
    clearTimeout(this.#timer);
    const slowAt = this.#since + Math.max(2 * estimate, SLOW_AT_LEAST);
    const late = slowAt - Date.now();
    byId('waiting-estimate').textContent = late > 0 ? usually(estimate) : 'This takes longer than usual';
    if (late > 0) this.#timer = setTimeout(() => this.#expect(estimate), late);
  }
}
