// A chat that is over here while the gateway has not confirmed it: left, and left again over a socket that broke.

const PATIENCE = 3_000;

export class Leaving {
  #chat = null;
  #timer = null;
  #options;

  // `send(frame)` returns whether a socket took it, `attached()` says whether the gateway knows this socket to be in the
  // chat, and `settled()` is told that the gateway knows of the end, or that nothing more can be done.
  constructor(options) {
    this.#options = options;
  }

  get pending() {
    return this.#chat !== null;
  }

  // The token with which a new socket comes back into the chat, to leave it.
  get resume() {
    return this.#chat?.resume ?? null;
  }

  // With `block` these two never meet again.
  begin({ id, resume, block }) {
    this.#chat = { id, resume, block };
    this.say();
  }

  // A new socket is in the chat that is to be left.
  resumed(resume) {
    if (typeof resume === 'string') this.#chat.resume = resume;
    this.say();
  }

  say() {
    if (this.#options.attached()) this.#speak();
  }

  // `ended` came. Of that chat, and not by us, it crossed with the stranger's own end; what blocks is then said again,
  // because the gateway takes it for a while after the end.
  ended({ chat, by }) {
    if (!this.pending) return;
    if (this.#chat.block && chat === this.#chat.id && by !== 'you' && this.#speak()) return;
    this.settle();
  }

  settle() {
    if (!this.pending) return;
    this.forget();
    this.#options.settled();
  }

  // The socket is gone, and what was said perhaps with it.
  lost() {
    clearTimeout(this.#timer);
  }

  forget() {
    clearTimeout(this.#timer);
    this.#chat = null;
  }

  #speak() {
    const frame = this.#chat.block ? { type: 'leave', block: true } : { type: 'leave' };
    if (!this.#options.send(frame)) return false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.settle(), PATIENCE);
    return true;
  }
}
