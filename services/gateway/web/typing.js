// Tells the stranger that somebody types here: on with the first key, off after five seconds without a change.

const QUIET_AFTER = 5_000;

export class Typing {
  #on = false;
  #timer = null;
  #send;

  constructor(send) {
    this.#send = send;
  }

  // The box changed and now holds `text`.
  changed(text) {
    clearTimeout(this.#timer);
    if (text === '') return this.stop();
    if (!this.#on) {
      this.#on = true;
      this.#send(true);
    }
    this.#timer = setTimeout(() => this.stop(), QUIET_AFTER);
  }

  // A message went out, which says by itself that the typing is over.
  clear() {
    clearTimeout(this.#timer);
    this.#on = false;
  }

  stop() {
    const was = this.#on;
    this.clear();
    if (was) this.#send(false);
  }
}
