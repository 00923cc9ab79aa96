// A tab of the browser for tests of the session: its connection and its storage are scripted.

import { Session } from '../session.js';

export const WISH = { interests: ['jazz'], languages: ['en'], onlyInterests: false };

// A tab with a scripted connection: `sent` is what it said, `told` what its page was told.
export class Tab {
  sent = [];
  told = [];
  ready = false;
  renewed = 0;
  opened = 0;
  closed = 0;
  // More of what the gateway welcomes with.
  welcome = {};

  constructor(storage = new Map()) {
    this.storage = storage;
    const connection = {
      open: () => (this.opened += 1),
      renew: () => (this.renewed += 1),
      close: () => {
        this.closed += 1;
        this.ready = false;
        this.handlers.onState('idle', {});
      },
      send: (frame) => {
        if (this.ready) this.sent.push(frame);
        return this.ready;
      },
    };
    Object.defineProperty(connection, 'ready', { get: () => this.ready });
    this.session = new Session({
      connect: (handlers) => {
        this.handlers = handlers;
        return connection;
      },
      storage: {
        getItem: (key) => storage.get(key) ?? null,
        setItem: (key, value) => storage.set(key, value),
        removeItem: (key) => storage.delete(key),
      },
      listener: (event) => this.told.push(event),
    });
  }

  hear(...frames) {
    for (const frame of frames) this.handlers.onFrame(frame);
    return this;
  }

  connect() {
    this.ready = true;
    this.handlers.onState('ready', {});
    return this.hear({ type: 'welcome', session: 's1', online: 5, limits: { unacked: 64 }, ...this.welcome });
  }

  lose() {
    this.ready = false;
    this.handlers.onState('retrying', { delay: 1 });
    return this;
  }

  inChat(wish = WISH, more = {}) {
    this.session.agree();
    this.session.find(wish);
    this.connect().hear({ type: 'waiting', interests: ['jazz'] }, { ...matched('c1'), ...more });
    this.sent.length = 0;
    return this;
  }

  take() {
    return this.sent.splice(0);
  }

  get lines() {
    return this.session.chat.lines.map(({ from, text, state }) => [from, text, state].filter(Boolean).join(' '));
  }
}

export const matched = (chat) => ({ type: 'matched', chat, role: 'stranger', common_interests: ['jazz'], resume: `r-${chat}` });
export const message = (seq, text) => ({ type: 'message', seq, text, from: 'stranger' });
export const said = (seq, text) => ({ type: 'message', seq, text });
