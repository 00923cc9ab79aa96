import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { isCopy } from '../tab-claim.js';
import { Tab, WISH, matched, message, said } from './tab.js';

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
  assert.equal(tab.session.chat.away, true);
  tab.hear({ type: 'stranger', state: 'back' });
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

test('slow_down and bad_seq: a pause, then what was refused again, in order, with growing pauses', () => {
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
  assert.deepEqual(tab.take(), [said(3, 'c')]);
});

// The gateway's rules for numbered frames, and a stranger who acknowledges when told to.
class Gateway {
  sent = 0;
  acked = 0;
  free = 0;
  tokens = 30;
  at = Date.now();
  refused = 0;
  forwarded = 0;
  shown = [];

  takes(frame) {
    const { seq } = frame;
    if (seq === 0 || seq > this.sent + 1) return this.refuses('bad_seq');
    if (seq <= this.acked) return { type: 'ack', seq };
    if (seq > this.acked + 64) return this.refuses('slow_down', 1_000);
    if (seq <= this.sent && this.free > 0) this.free -= 1;
    else if (!this.limited()) return this.refuses('slow_down', 100);
    this.sent = Math.max(this.sent, seq);
    this.forwarded += 1;
    if (seq === this.shown.length + 1) this.shown.push(frame.text);
    return null;
  }

  limited() {
    this.tokens = Math.min(30, this.tokens + (Date.now() - this.at) / 100);
    this.at = Date.now();
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }

  refuses(code, after) {
    this.refused += 1;
    return { type: 'error', code, text: '', retry_after_ms: after };
  }
}

// Frames and answers take `latency` each way; the stranger acknowledges from `awake` on.
function converse({ texts, latency, tokens = 30, awake = 0, seconds }) {
  const tab = new Tab().inChat();
  const gateway = new Gateway();
  gateway.tokens = tokens;
  const [up, down] = [[], []];
  for (let time = 0; time < seconds * 1_000; time += 50) {
    while (texts.length > 0 && tab.session.say(texts[0])) texts.shift();
    up.push(...tab.take().filter((frame) => frame.type === 'message').map((frame) => ({ frame, due: time + latency })));
    while (up[0]?.due <= time) {
      const frame = gateway.takes(up.shift().frame);
      if (frame) down.push({ frame, due: time + latency });
    }
    if (time >= awake && gateway.shown.length > gateway.acked) {
      gateway.acked = gateway.shown.length;
      down.push({ frame: { type: 'ack', seq: gateway.acked }, due: time + latency });
    }
    while (down[0]?.due <= time) tab.hear(down.shift().frame);
    mock.timers.tick(50);
  }
  return { tab, gateway };
}

const numbers = (count) => Array.from({ length: count }, (_, index) => `t${index + 1}`);

test('a burst is paced, so that the gateway refuses and repeats nothing', () => {
  for (const latency of [0, 150, 700]) {
    const { tab, gateway } = converse({ texts: numbers(150), latency, seconds: 30 });
    assert.deepEqual(gateway.shown, numbers(150));
    assert.deepEqual([gateway.refused, gateway.forwarded], [0, 150]);
    assert.equal(tab.session.chat.delivery.unacked.length, 0);
  }
});

test('refused frames come again in order, without a storm, and new ones are not starved', () => {
  for (const latency of [0, 150, 700]) {
    for (const awake of [0, 20_000]) {
      // As after a reload: the gateway's bucket is empty, and this page does not know.
      const { tab, gateway } = converse({ texts: numbers(60), latency, tokens: 2, awake, seconds: 40 });
      assert.deepEqual(gateway.shown, numbers(60));
      assert.equal(tab.session.chat.delivery.unacked.length, 0);
      assert.ok(gateway.refused <= 80, `${gateway.refused} refused`);
      assert.ok(gateway.forwarded <= 70, `${gateway.forwarded} forwarded`);
    }
  }
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

test('the end of a chat brings a new session token, which the next hello shows', () => {
  const tab = new Tab().inChat();
  tab.hear({ type: 'ended', chat: 'c1', by: 'stranger', session: 's2' });
  assert.equal(tab.handlers.hello().session, 's2');
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

test('a wish that was given up is made again after the delay, whatever idle says', () => {
  const tab = new Tab();
  tab.session.find(WISH);
  tab.connect().hear({ type: 'waiting' });
  tab.take();
  tab.hear({ type: 'error', code: 'unavailable', text: '', retry_after_ms: 5_000 }, { type: 'idle' });
  mock.timers.tick(4_999);
  assert.deepEqual(tab.take(), []);
  mock.timers.tick(1);
  assert.equal(tab.take()[0].type, 'find');
});

test('a page that comes back out of the cache goes on looking', () => {
  const tab = new Tab();
  tab.session.find(WISH);
  tab.connect().hear({ type: 'waiting' });
  tab.session.goodbye();
  assert.equal(tab.closed, 1);
  tab.take();
  const before = tab.opened;
  tab.session.revive();
  assert.equal(tab.opened, before + 1);
  tab.connect();
  assert.equal(tab.take()[0].type, 'find');
});

test('after a final close only a person reconnects', () => {
  const tab = new Tab().inChat();
  tab.session.say('a');
  tab.ready = false;
  tab.handlers.onState('stopped', { why: 'replaced' });
  const before = tab.opened;
  tab.session.revive();
  mock.timers.tick(60_000);
  assert.deepEqual([tab.opened, tab.renewed], [before, 0]);
  tab.session.reconnect();
  assert.equal(tab.opened, before + 1);
});

test('a refused message does not refuse the report', async () => {
  const tab = new Tab().inChat();
  tab.session.say('a');
  const report = tab.session.report('spam', '');
  for (const code of ['slow_down', 'bad_seq', 'too_long']) tab.hear({ type: 'error', code, text: '' });
  tab.hear({ type: 'reported', case: 'C1' });
  assert.equal(await report, 'C1');
  tab.hear({ type: 'ack', seq: 1 });
  const other = tab.session.report('spam', '');
  tab.hear({ type: 'error', code: 'slow_down', text: 'Too many reports.' });
  await assert.rejects(other, /Too many/);
});

test('a cancel that crossed with a match leaves nothing behind', () => {
  const tab = new Tab();
  tab.session.find(WISH);
  tab.connect();
  tab.session.cancel();
  tab.hear(matched('c1'), { type: 'ended', chat: 'c1', by: 'you' });
  tab.session.find(WISH);
  tab.told.length = 0;
  tab.hear({ type: 'waiting' });
  assert.deepEqual(tab.told.map((event) => event.type), ['waiting']);
});

test('the limits of the welcome hold for new chats', () => {
  const tab = new Tab();
  tab.session.find(WISH);
  tab.ready = true;
  tab.handlers.onState('ready', {});
  tab.hear({ type: 'welcome', session: 's1', limits: { unacked: 2 } }, matched('c1'));
  assert.ok(tab.session.say('a') && tab.session.say('b'));
  assert.equal(tab.session.say('c'), null);
});

test('a copied tab lets go of the session of the first', async () => {
  const channels = [];
  class Channel {
    constructor() {
      channels.push(this);
    }
    postMessage(data) {
      for (const other of channels) if (other !== this) other.onmessage?.({ data });
    }
  }
  const first = isCopy(() => 's1', Channel);
  mock.timers.tick(100);
  assert.equal(await first, false);
  assert.equal(await isCopy(() => 's1', Channel), true);
  const third = isCopy(() => 's2', Channel);
  mock.timers.tick(100);
  assert.equal(await third, false);
  const tab = new Tab(new Tab().inChat().storage);
  tab.session.restore();
  tab.session.forget();
  assert.equal(tab.session.phase, 'idle');
  assert.equal(tab.session.held, null);
});

test('unknown frames change nothing', () => {
  const tab = new Tab().inChat();
  tab.told.length = 0;
  tab.hear({ type: 'confetti' }, { type: 'constructor' }, { type: '__proto__' });
  assert.deepEqual(tab.told, []);
});
