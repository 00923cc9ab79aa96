import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Tab, WISH, matched, message } from './tab.js';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'] }));
afterEach(() => mock.timers.reset());

const ended = (by, more = {}) => ({ type: 'ended', chat: 'c1', by, ...more });
const IDLE = { type: 'idle' };
const NOT_NOW = { type: 'error', code: 'not_now', text: '' };

function after(by, more = {}) {
  return new Tab().inChat(WISH, more).hear(ended(by));
}

test('the same stranger can be asked for within a minute, and not after it', () => {
  const tab = after('stranger');
  assert.equal(tab.session.againUntil, tab.session.chat.endedAt + 60_000);
  mock.timers.tick(59_999);
  tab.session.again();
  assert.equal(tab.session.phase, 'again');
  assert.deepEqual(tab.take(), [{ type: 'again' }]);
  const late = after('away');
  mock.timers.tick(60_000);
  late.session.again();
  assert.equal(late.session.phase, 'ended');
  assert.deepEqual(late.take(), []);
});

test('after moderation, a lost chat, a block or as a spy nobody is asked for', () => {
  const spied = after('stranger', { role: 'spy' });
  const moderated = after('moderation');
  const lost = new Tab().inChat().hear({ type: 'error', code: 'resume_failed', text: '' });
  const blocked = new Tab().inChat();
  blocked.session.block();
  for (const tab of [spied, moderated, lost, blocked]) {
    assert.equal(tab.session.againUntil, 0);
    tab.take();
    tab.session.again();
    assert.equal(tab.session.phase, 'ended');
    assert.deepEqual(tab.take(), []);
  }
});

test('they meet again: a new chat, and the old one is gone', () => {
  const tab = after('stranger');
  tab.session.again();
  tab.hear({ type: 'waiting', interests: [], patience_ms: 0 });
  assert.equal(tab.session.phase, 'again');
  tab.hear(matched('c2'), message(1, 'you again!'));
  assert.equal(tab.session.phase, 'chat');
  assert.equal(tab.session.chat.met, true);
  assert.equal(tab.session.chat.asked, false);
  assert.deepEqual(tab.lines, ['stranger you again!']);
});

test('idle, a refusal and silence all end the same way, and the log stays', () => {
  const ends = [(tab) => tab.hear({ type: 'waiting' }, IDLE), (tab) => tab.hear(NOT_NOW), () => mock.timers.tick(135_000)];
  for (const end of ends) {
    const tab = new Tab().inChat().hear(message(1, 'bye'), ended('stranger'));
    tab.session.again();
    tab.take();
    end(tab);
    assert.equal(tab.session.phase, 'ended');
    assert.equal(tab.session.chat.unmet, true);
    assert.equal(tab.session.againUntil, 0);
    assert.deepEqual(tab.lines, ['stranger bye']);
  }
});

test('a cancel takes it back, and leaves the rest of the minute', () => {
  const tab = after('you');
  tab.session.again();
  tab.hear({ type: 'waiting' });
  tab.take();
  tab.session.cancel();
  assert.deepEqual(tab.take(), [{ type: 'cancel' }]);
  tab.hear(IDLE);
  assert.equal(tab.session.phase, 'ended');
  assert.equal(tab.session.chat.unmet, undefined);
  tab.session.again();
  assert.deepEqual(tab.take(), [{ type: 'again' }]);
  mock.timers.tick(1_000);
  tab.hear({ type: 'waiting' }, matched('c2'));
  assert.equal(tab.session.chat.id, 'c2');
  mock.timers.tick(200_000);
  assert.equal(tab.session.phase, 'chat');
});

test('a match that crossed with the cancel is left', () => {
  const tab = after('you');
  tab.session.again();
  tab.session.cancel();
  tab.take();
  tab.hear(matched('c2'));
  assert.equal(tab.session.phase, 'ended');
  assert.equal(tab.session.chat.id, 'c1');
  assert.deepEqual(tab.take(), [{ type: 'leave' }]);
});

test('it waits until the gateway knows of the end, and is said again on a new socket', () => {
  const tab = new Tab().inChat();
  tab.session.leave();
  tab.session.again();
  assert.deepEqual(tab.take(), [{ type: 'leave' }]);
  tab.hear(ended('you'));
  assert.deepEqual(tab.take(), [{ type: 'again' }]);
  tab.lose().connect();
  mock.timers.tick(400);
  assert.deepEqual(tab.take(), [{ type: 'again' }]);
  tab.hear({ type: 'error', code: 'unavailable', text: '', retry_after_ms: 500 });
  mock.timers.tick(500);
  assert.deepEqual(tab.take(), [{ type: 'again' }]);
});

test('somebody else may be looked for meanwhile', () => {
  const tab = after('stranger');
  tab.session.again();
  tab.take();
  tab.session.find(WISH);
  assert.deepEqual(tab.take().map((frame) => frame.type), ['cancel', 'find']);
  tab.hear({ type: 'waiting' }, IDLE, { type: 'waiting' });
  mock.timers.tick(200_000);
  assert.equal(tab.session.phase, 'waiting');
  assert.deepEqual(tab.take(), []);
});

test('a reload forgets that one asked, and not that it came to nothing', () => {
  const asking = after('stranger');
  asking.session.again();
  asking.session.goodbye();
  assert.deepEqual(asking.take().map((frame) => frame.type), ['again', 'cancel']);
  const back = new Tab(asking.storage);
  back.session.restore();
  assert.equal(back.session.phase, 'ended');
  assert.ok(back.session.againUntil > Date.now());
  back.session.again();
  back.connect();
  back.take();
  back.hear({ type: 'waiting' }, IDLE);
  const later = new Tab(asking.storage);
  later.session.restore();
  assert.equal(later.session.againUntil, 0);
});

test('a block ends the chat, is said again when it was lost, and the new token replaces the old', () => {
  const tab = new Tab().inChat();
  tab.lose();
  tab.session.block();
  assert.equal(tab.session.chat.ended.blocked, true);
  tab.connect();
  assert.deepEqual(tab.take(), []);
  tab.hear({ type: 'resumed', chat: 'c1', received: 0 });
  assert.deepEqual(tab.take(), [{ type: 'leave', block: true }]);
  tab.hear(ended('you', { session: 's2' }));
  assert.equal(tab.session.held, 's2');
  assert.equal(tab.handlers.hello().session, 's2');
});

test('an end without a token keeps the one of the welcome, whoever ended it', () => {
  const tab = new Tab().inChat().hear(ended('stranger', { session: 7 }));
  assert.equal(tab.session.held, 's1');
  const other = new Tab().inChat().hear(ended('stranger', { session: 's3' }));
  assert.equal(other.session.held, 's3');
});
