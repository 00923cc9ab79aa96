// The socket: opening it, saying hello, coming back after it broke, and moving to another gateway without a gap.
//
// At most two sockets exist at a time. The old one goes on being read until the new one is welcomed; then it is closed
// and whatever it still had to say is ignored, because the gateway says it again on the new one.

import { afterClose } from './backoff.js';

const WELCOME_WITHIN = 10_000;

export class Connection {
  #current = null;
  #coming = null;
  #timer = null;
  #attempt = 0;
  // The present gateway asked for a move, at this time.
  #moveAt = null;
  #options;

  // `hello()` gives the first frame, `needed()` says whether a lost socket is worth a new one.
  // `onFrame(frame)` gets every frame from the welcome on, the welcome included; `onState(state, detail)` gets
  // `connecting`, `ready`, `retrying` {delay}, `idle`, or `stopped` {why}.
  constructor(options) {
    this.#options = { random: Math.random, WebSocket: globalThis.WebSocket, ...options };
  }

  get ready() {
    return this.#current !== null;
  }

  // Makes sure that a socket is there or on its way. One whose gateway is going away is no place to begin something.
  open() {
    if (this.#coming || (this.#current && this.#moveAt === null)) return;
    this.#dial();
  }

  // Opens a new socket beside the present one, which may be dead without knowing it.
  renew() {
    if (this.#coming) return;
    this.#dial();
  }

  send(frame) {
    if (!this.#current || this.#current.readyState !== 1) return false;
    this.#current.send(JSON.stringify(frame));
    return true;
  }

  // Says goodbye.
  close() {
    clearTimeout(this.#timer);
    for (const socket of [this.#current, this.#coming]) drop(socket);
    this.#current = null;
    this.#coming = null;
    this.#moveAt = null;
    this.#options.onState('idle', {});
  }

  #dial() {
    clearTimeout(this.#timer);
    const { url, WebSocket, onState } = this.#options;
    const socket = new WebSocket(url, 'stroll.v1');
    this.#coming = socket;
    if (!this.#current) onState('connecting', {});
    const impatience = setTimeout(() => this.#lost(socket, 1006), WELCOME_WITHIN);
    let opened = false;
    socket.onopen = () => {
      opened = true;
      socket.send(JSON.stringify(this.#options.hello()));
    };
    socket.onmessage = (event) => this.#read(socket, event.data, impatience);
    socket.onclose = (event) => {
      clearTimeout(impatience);
      this.#lost(socket, event.code, opened);
    };
  }

  #read(socket, data, impatience) {
    const frame = parse(data);
    if (!frame) return;
    // What a socket says before it is welcome does not concern the one that still serves.
    if (frame.type !== 'welcome' && socket === this.#coming && this.#current) return;
    if (frame.type === 'welcome' && socket === this.#coming) {
      clearTimeout(impatience);
      drop(this.#current);
      this.#current = socket;
      this.#coming = null;
      this.#attempt = 0;
      this.#moveAt = null;
      clearTimeout(this.#timer);
      this.#options.onState('ready', {});
    }
    if (frame.type === 'going_away' && socket === this.#current) this.#moveAfter(frame.reconnect_after_ms);
    this.#options.onFrame(frame);
  }

  // The gateway chose the delay at random for this socket, so it is used as it is.
  #moveAfter(delay) {
    const after = Number.isFinite(delay) ? delay : 0;
    this.#moveAt = Date.now() + after;
    this.#renewIn(after);
  }

  #renewIn(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#options.needed()) this.renew();
    }, delay);
  }

  #lost(socket, code, opened = true) {
    drop(socket);
    if (socket === this.#coming) this.#coming = null;
    else if (socket === this.#current) this.#current = null;
    else return;
    const verdict = afterClose(code, this.#attempt, this.#options.random, opened);
    // The other socket serves, or soon will: the gateway says 4004 to the old one as soon as the new one said hello.
    if (this.#current) return this.#moveAgain(verdict);
    const moveAt = this.#moveAt ?? 0;
    this.#moveAt = null;
    if (this.#coming) return this.#options.onState('connecting', {});
    if (!verdict.retry) return this.#stop(verdict.why);
    if (!this.#options.needed()) return this.#options.onState('idle', {});
    this.#attempt += 1;
    const delay = code === 1012 && moveAt > Date.now() ? moveAt - Date.now() : verdict.delay;
    this.#options.onState('retrying', { delay });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), delay);
  }

  // The new socket failed beside one that works. Nobody has to know, but the old one will not last.
  #moveAgain(verdict) {
    if (this.#moveAt === null || !verdict.retry) return;
    this.#attempt += 1;
    this.#renewIn(verdict.delay);
  }

  #stop(why) {
    clearTimeout(this.#timer);
    for (const socket of [this.#current, this.#coming]) drop(socket);
    this.#current = null;
    this.#coming = null;
    this.#moveAt = null;
    this.#options.onState('stopped', { why });
  }
}

// Closes a socket and stops listening to it.
function drop(socket) {
  if (!socket) return;
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.close(1000);
}

function parse(data) {
  try {
    const frame = JSON.parse(data);
    return frame && typeof frame.type === 'string' ? frame : null;
  } catch {
    return null;
  }
}
