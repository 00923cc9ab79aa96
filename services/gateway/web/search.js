// The wish to meet somebody, as the gateway knows it: said, said again when it was lost, and taken back.
//
// Only while no chat is left to be ended: `free()` says so. The same for a `find` and for an `again`.

const GRACE = 400;

export class Search {
  #frame = null;
  // The last word to the gateway was the wish, and nothing since has undone it.
  #asked = false;
  // Our `cancel`s that were not answered yet.
  #cancels = 0;
  // This gateway is going away and does not look any more: what is wanted is said to the next one.
  #moving = false;
  #timer = null;
  #send;
  #free;

  // `send(frame)` returns whether a socket took it.
  constructor({ send, free }) {
    this.#send = send;
    this.#free = free;
  }

  // `frame()` makes what is said, anew each time, because the gateway's limits may have changed meanwhile.
  begin(frame) {
    this.#frame = frame;
    this.#asked = false;
    this.say();
  }

  say() {
    clearTimeout(this.#timer);
    if (this.#frame && this.#free() && !this.#moving) this.#asked = this.#send(this.#frame());
  }

  // The gateway could not take it now. An `idle` that follows must not make it sooner.
  sayAfter(delay) {
    this.#asked = false;
    this.#later(delay);
  }

  // A new socket was welcomed. The ticket may have outlived the old one; then `waiting` or `matched` follows at once,
  // and saying it again would only lose its place.
  welcomed() {
    this.#moving = false;
    if (!this.#frame) return;
    if (!this.#asked) return this.say();
    this.sayAfter(GRACE);
  }

  // `going_away` came, and nobody waits there any more.
  move() {
    clearTimeout(this.#timer);
    this.#moving = true;
    this.#asked = false;
    this.#cancels = 0;
  }

  get moving() {
    return this.#moving;
  }

  // `waiting` came: false if it is of a search that was taken back meanwhile.
  confirmed() {
    if (!this.#frame || this.#cancels > 0) return false;
    this.#asked = true;
    clearTimeout(this.#timer);
    return true;
  }

  // `idle` came: true if it ended the search, false if it answered one of our `cancel`s or came before the search.
  ended() {
    if (this.#cancels > 0) {
      this.#cancels -= 1;
      return false;
    }
    return this.#frame !== null && this.#asked;
  }

  // It is still wanted though the gateway ended it.
  sayAgain() {
    this.#later(GRACE);
  }

  cancel() {
    if (this.#asked && this.#send({ type: 'cancel' })) this.#cancels += 1;
    this.forget();
  }

  // The tab goes, but may come back: what is wanted stays.
  pause() {
    clearTimeout(this.#timer);
    this.#send({ type: 'cancel' });
    this.#asked = false;
  }

  // It came true, or never will.
  forget() {
    clearTimeout(this.#timer);
    this.#frame = null;
    this.#asked = false;
  }

  // Nothing that was said before is answered any more: the socket broke, or `matched` came.
  settled() {
    this.#cancels = 0;
  }

  #later(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.say(), delay);
  }
}

// What `find` says of a wish. Only a plain chat goes by interests, and only a section that the gateway has is named.
export function findFrame({ kind, question, interests, languages, onlyInterests, section }, { most, sections }) {
  const plain = kind !== 'ask' && kind !== 'discuss';
  const find = { type: 'find', mode: 'text', interests: plain ? interests.slice(0, most) : [], languages };
  if (plain && onlyInterests && interests.length > 0) find.only_interests = true;
  if (kind === 'ask') find.ask = question;
  if (kind === 'discuss') find.discuss = true;
  if (section && sections.includes(section)) find.section = section;
  return find;
}
