import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Session } from '../session.js';

const WISH = { interests: ['jazz'], languages: ['en'], onlyInterests: false };

// A tab with a scripted connection: `sent` is what it said, `told` what its page was told.
class Tab {
  sent = [];
  told = [];
  ready = false;
  renewed = 0;

  constructor(storage = new Map()) {
    this.storage = storage;
    const connection = {
      open: () => {},
      renew: () => (this.renewed += 1),
      close: () => {},
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
    return this.hear({ type: 'welcome', session: 's1', online: 5, limits: { unacked: 64 } });
  }

  lose() {
    this.ready = false;
    this.handlers.onState('retrying', { delay: 1 });
    return this;
  }

  inChat() {
    this.session.agree();
    this.session.find(WISH);
    this.connect().hear({ type: 'waiting', interests: ['jazz'] }, matched('c1'));
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

const matched = (chat) => ({ type: 'matched', chat, role: 'stranger', common_interests: ['jazz'], resume: `r-${chat}` });
const message = (seq, text) => ({ type: 'message', seq, text, from: 'stranger' });
const said = (seq, text) => ({ type: 'message', seq, text });

beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'] }));
afterEach(() => mock.timers.reset());

test('hello carries consent and both tokens; find follows the welcome', () => {
  const tab = new Tab();
  tab.session.agree();
  tab.session.find(WISH);
  assert.deepEqual(tab.handlers.hello(), { type: 'hello', adult: true, terms: true });
  tab.connect();
  assert.deepEqual(tab.take(), [{ type: 'find', mode: 'text', interests: ['jazz'], languages: ['en'] }]);
  tab.hear(matched('c1'));
  assert.equal(tab.session.phase, 'chat');
  assert.deepEqual(tab.handlers.hello(), { type: 'hello', session: 's1', resume: 'r-c1', adult: true, terms: true });
});

test('each message is shown once and in order, and acknowledged', () => {
  const tab = new Tab().inChat();
  tab.hear(message(1, 'a'), message(3, 'c'), message(1, 'a'), message(2, 'b'), { type: 'signal', seq: 3, data: {} }, message(4, 'd'));
  assert.deepEqual(tab.lines, ['stranger a', 'stranger b', 'stranger d']);
  assert.deepEqual(tab.take().map((frame) => [frame.type, frame.seq].join()), ['ack,1', 'ack,1', 'ack,2', 'ack,3', 'ack,4']);
});

test('what was not received is sent again when resumed, whoever was away', () => {
  const tab = new Tab().inChat();
  for (const text of ['a', 'b', 'c']) tab.session.say(text);
  tab.take();
  tab.hear({ type: 'stranger', state: 'away' });
  assert.equal(tab.session.chat.away, true);
  tab.hear({ type: 'resumed', chat: 'c1', received: 1 });
  assert.equal(tab.session.chat.away, false);
  assert.deepEqual(tab.take(), [said(2, 'b'), said(3, 'c')]);
  assert.deepEqual(tab.lines, ['you a delivered', 'you b sent', 'you c sent']);
  tab.lose();
  tab.session.say('d');
  assert.deepEqual(tab.take(), []);
  tab.connect();
  tab.session.say('e');
  assert.deepEqual(tab.take(), [], 'nothing numbered before the gateway said resumed');
  tab.hear({ type: 'resumed', chat: 'c1', received: 2 });
  assert.deepEqual(tab.take(), [said(3, 'c'), said(4, 'd'), said(5, 'e')]);
});

test('slow_down and bad_seq: a pause, then everything again, in order, with growing pauses', () => {
  const tab = new Tab().inChat();
  tab.session.say('a');
  tab.session.say('b');
  tab.take();
  const slow = { type: 'error', code: 'slow_down', text: '', retry_after_ms: 400 };
  tab.hear(slow, slow);
  tab.session.say('c');
  assert.deepEqual(tab.take(), []);
  mock.timers.tick(400);
  assert.deepEqual(tab.take(), [said(1, 'a'), said(2, 'b'), said(3, 'c')]);
  tab.hear({ type: 'error', code: 'bad_seq', text: '' });
  mock.timers.tick(1_000);
  assert.deepEqual(tab.take(), []);
  mock.timers.tick(1_000);
  assert.equal(tab.take().length, 3);
});

test('past the window nothing is taken', () => {
  const tab = new Tab().inChat();
  for (let count = 0; count < 64; count += 1) assert.ok(tab.session.say('x'));
  assert.equal(tab.session.say('x'), null);
  tab.hear({ type: 'ack', seq: 1 });
  assert.ok(tab.session.say('x'));
});

test('a reload comes back into the chat with its lines and its unacknowledged messages', () => {
  const before = new Tab().inChat();
  before.hear(message(1, 'hi'));
  before.session.say('a');
  before.session.say('b');
  before.hear({ type: 'ack', seq: 1 });
  const tab = new Tab(before.storage);
  tab.session.restore();
  assert.equal(tab.session.phase, 'chat');
  assert.deepEqual(tab.handlers.hello(), { type: 'hello', session: 's1', resume: 'r-c1', adult: true, terms: true });
  tab.connect().hear({ type: 'resumed', chat: 'c1', received: 1 }, message(1, 'hi'), message(2, 'there'));
  assert.deepEqual(tab.take(), [said(2, 'b'), { type: 'ack', seq: 1 }, { type: 'ack', seq: 2 }]);
  assert.deepEqual(tab.lines, ['stranger hi', 'you a delivered', 'you b sent', 'stranger there']);
});

test('a chat that cannot be resumed is over', () => {
  const tab = new Tab().inChat();
  tab.session.say('a');
  tab.lose().connect().hear({ type: 'error', code: 'resume_failed', text: '' });
  assert.equal(tab.session.phase, 'ended');
  assert.equal(tab.session.chat.ended.by, 'lost');
  assert.deepEqual(tab.lines, ['you a undelivered']);
});

test('nothing of a chat is shown after its end', () => {
  const tab = new Tab().inChat();
  tab.session.leave();
  assert.deepEqual(tab.take(), [{ type: 'leave' }]);
  tab.hear(message(1, 'late'), { type: 'typing', on: true });
  assert.deepEqual(tab.lines, []);
  assert.deepEqual(tab.take(), []);
});

test('the next find waits until the gateway knows that the last chat is over', () => {
  const tab = new Tab().inChat();
  tab.session.leave();
  tab.session.find(WISH);
  assert.deepEqual(tab.take(), [{ type: 'leave' }]);
  tab.hear({ type: 'ended', chat: 'c1', by: 'you' });
  assert.equal(tab.take()[0].type, 'find');
  assert.equal(tab.session.phase, 'waiting');
});

test('a leave that was lost with the socket is said again', () => {
  const tab = new Tab().inChat();
  tab.lose();
  tab.session.leave();
  tab.session.find(WISH);
  assert.equal(tab.handlers.hello().resume, 'r-c1');
  tab.connect();
  assert.deepEqual(tab.take(), []);
  tab.hear({ type: 'resumed', chat: 'c1', received: 0 });
  assert.deepEqual(tab.take(), [{ type: 'leave' }]);
  tab.hear({ type: 'ended', chat: 'c1', by: 'you' });
  assert.equal(tab.take()[0].type, 'find');
});

test('a match that crossed with a cancel is left', () => {
  const tab = new Tab();
  tab.session.find(WISH);
  tab.connect();
  tab.session.cancel();
  tab.take();
  tab.hear(matched('c1'));
  assert.equal(tab.session.phase, 'idle');
  assert.deepEqual(tab.take(), [{ type: 'leave' }]);
});

test('after a reconnection find is said again only if the gateway no longer waits', () => {
  const tab = new Tab();
  tab.session.find(WISH);
  tab.connect().hear({ type: 'waiting' });
  tab.take();
  tab.lose().connect().hear({ type: 'waiting' });
  mock.timers.tick(1_000);
  assert.deepEqual(tab.take(), []);
  tab.lose().connect();
  mock.timers.tick(1_000);
  assert.equal(tab.take()[0].type, 'find');
});

test('a busy gateway is asked again; a refused wish is not', () => {
  const tab = new Tab();
  tab.session.find(WISH);
  tab.connect().take();
  tab.hear({ type: 'error', code: 'busy', text: '', retry_after_ms: 700 });
  mock.timers.tick(700);
  assert.equal(tab.take()[0].type, 'find');
  tab.hear({ type: 'error', code: 'consent_required', text: '' });
  assert.equal(tab.session.phase, 'idle');
  assert.equal(tab.session.consent, false);
});

test('reports: during the chat, two minutes after it, and not later', async () => {
  const tab = new Tab().inChat();
  const first = tab.session.report('spam', 'ads');
  assert.deepEqual(tab.take(), [{ type: 'report', reason: 'spam', comment: 'ads' }]);
  tab.hear({ type: 'reported', case: 'C7' });
  assert.equal(await first, 'C7');
  tab.hear({ type: 'ended', chat: 'c1', by: 'stranger' });
  assert.equal(tab.session.reportable, true);
  const second = tab.session.report('other', '');
  tab.hear({ type: 'error', code: 'not_now', text: 'Too late.' });
  await assert.rejects(second, /Too late/);
  mock.timers.tick(120_000);
  assert.equal(tab.session.reportable, false);
});

test('a silent socket is replaced while something is out, but not when the stranger is away', () => {
  const tab = new Tab().inChat();
  tab.session.say('a');
  mock.timers.tick(10_000);
  assert.equal(tab.renewed, 1);
  tab.hear({ type: 'stranger', state: 'away' });
  tab.session.say('b');
  mock.timers.tick(60_000);
  assert.equal(tab.renewed, 1);
});

test('unknown frames change nothing', () => {
  const tab = new Tab().inChat();
  tab.told.length = 0;
  tab.hear({ type: 'confetti' }, { type: 'constructor' }, { type: '__proto__' });
  assert.deepEqual(tab.told, []);
});
