import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { awayText } from '../words.js';
import { Tab, WISH, matched, message, said } from './tab.js';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'] }));
afterEach(() => mock.timers.reset());

const GOING = { type: 'going_away', reconnect_after_ms: 300 };
const BLOCK = { type: 'leave', block: true };
const ended = (by) => ({ type: 'ended', chat: 'c1', by, session: `s-${by}` });

function looking() {
  const tab = new Tab();
  tab.session.find(WISH);
  tab.connect().hear({ type: 'waiting' });
  tab.take();
  tab.told.length = 0;
  return tab;
}

test('who looks for somebody asks the next gateway at once, and the one that goes away no more', () => {
  const tab = looking().hear(GOING);
  mock.timers.tick(2_000);
  assert.deepEqual(tab.take(), []);
  tab.connect();
  assert.deepEqual(tab.take().map((frame) => frame.type), ['find']);
  assert.equal(tab.session.phase, 'waiting');
});

test('a find that crossed with going_away is refused, which nobody has to know', () => {
  const tab = looking().hear(GOING, { type: 'error', code: 'unavailable', text: '', retry_after_ms: 1_000 });
  mock.timers.tick(2_000);
  assert.deepEqual([tab.take(), tab.told.map((event) => event.type)], [[], []]);
  tab.connect();
  assert.equal(tab.take()[0].type, 'find');
});

test('a search that begins after going_away begins at the next gateway', () => {
  const tab = new Tab().inChat().hear(GOING, ended('stranger'));
  const before = tab.opened;
  tab.session.find(WISH);
  assert.deepEqual([tab.take(), tab.opened], [[], before + 1]);
  tab.connect();
  assert.equal(tab.take()[0].type, 'find');
});

test('a report after the chat goes to the gateway that had it', () => {
  const tab = new Tab().inChat().hear(GOING, ended('stranger'));
  const before = tab.opened;
  tab.session.report('spam', '').catch(() => {});
  assert.deepEqual([tab.take(), tab.opened], [[{ type: 'report', reason: 'spam' }], before]);
});

test('in a chat that moves nothing is lost and nothing is shown twice', () => {
  const tab = new Tab().inChat().hear(GOING, message(1, 'a'));
  tab.session.say('x');
  assert.deepEqual(tab.take(), [{ type: 'ack', seq: 1 }, said(1, 'x')], 'the old socket serves until the new one does');
  tab.connect();
  tab.session.say('y');
  assert.deepEqual(tab.take(), [], 'not before the new gateway is in the chat');
  tab.hear({ type: 'resumed', chat: 'c1', received: 0, resume: 'r2' }, message(1, 'a'), message(2, 'b'));
  assert.deepEqual(tab.take(), [said(1, 'x'), said(2, 'y'), { type: 'ack', seq: 1 }, { type: 'ack', seq: 2 }]);
  assert.deepEqual(tab.lines, ['stranger a', 'you x sent', 'you y sent', 'stranger b']);
});

test('resumed and waiting bring newer tokens, which outlive a reload', () => {
  const tab = new Tab().inChat().hear({ type: 'resumed', chat: 'c1', received: 0, resume: 'r2' });
  assert.equal(tab.handlers.hello().resume, 'r2');
  const reloaded = new Tab(tab.storage);
  reloaded.session.restore();
  assert.equal(reloaded.handlers.hello().resume, 'r2');
  const other = looking().hear({ type: 'waiting', session: 'with a place' });
  assert.equal(other.handlers.hello().session, 'with a place');
  other.hear({ type: 'waiting', widened: true });
  assert.equal(other.handlers.hello().session, 'with a place');
});

test('a leave is said again with the token that resumed brought', () => {
  const tab = new Tab().inChat().lose();
  tab.session.leave();
  tab.connect().hear({ type: 'resumed', chat: 'c1', received: 0, resume: 'r2' });
  assert.deepEqual(tab.take(), [{ type: 'leave' }]);
  tab.lose();
  assert.equal(tab.handlers.hello().resume, 'r2');
});

test('how long the stranger may stay away is known while they are, and only then', () => {
  const tab = new Tab().inChat().hear({ type: 'stranger', state: 'away', grace_ms: 30_000 });
  const { chat } = tab.session;
  assert.deepEqual([chat.away, chat.awayUntil - Date.now()], [true, 30_000]);
  mock.timers.tick(10_000);
  tab.hear({ type: 'stranger', state: 'away' });
  assert.equal(chat.awayUntil - Date.now(), 20_000);
  tab.hear({ type: 'stranger', state: 'away', grace_ms: 25_000 });
  assert.equal(chat.awayUntil - Date.now(), 25_000, 'a relay that took the chat over counts anew');
  assert.equal(awayText(chat), 'Your stranger lost the connection. Waiting …');
  tab.hear(message(1, 'hi'));
  assert.deepEqual([chat.away, chat.awayUntil], [false, null]);
  tab.hear({ type: 'stranger', state: 'away' });
  assert.equal(awayText(chat), 'Your stranger lost the connection. Waiting for them to come back …');
  tab.hear(ended('away'));
  assert.deepEqual([chat.away, chat.awayUntil], [false, null]);
});

test('a block that crossed with the stranger’s own leaving is said again until the gateway has it', () => {
  const tab = new Tab().inChat();
  tab.session.block();
  assert.deepEqual(tab.take(), [BLOCK]);
  tab.session.find(WISH);
  tab.hear(ended('stranger'));
  assert.deepEqual(tab.take(), [BLOCK]);
  assert.equal(tab.handlers.hello().session, 's-stranger');
  tab.hear(ended('you'));
  assert.deepEqual(tab.take().map((frame) => frame.type), ['find']);
  assert.equal(tab.handlers.hello().session, 's-you');
  tab.hear(ended('you'));
  assert.deepEqual([tab.take(), tab.session.phase], [[], 'waiting'], 'the answer to the first one');
});

test('a block while the connection was gone is said even if the chat ended meanwhile', () => {
  const tab = new Tab().inChat().lose();
  tab.session.block();
  assert.deepEqual(tab.take(), []);
  tab.connect().hear({ type: 'ended', chat: 'c1', by: 'away' });
  assert.deepEqual(tab.take(), [BLOCK]);
  tab.hear(ended('you'));
  assert.equal(tab.handlers.hello().resume, undefined);
});

test('a gateway that takes no block any more, or says nothing, ends it', () => {
  const ends = [(tab) => tab.hear({ type: 'error', code: 'not_now', text: '' }), () => mock.timers.tick(3_000)];
  for (const end of ends) {
    const tab = new Tab().inChat();
    tab.session.block();
    tab.hear(ended('stranger'));
    tab.session.find(WISH);
    tab.take();
    end(tab);
    assert.deepEqual(tab.take().map((frame) => frame.type), ['find']);
  }
});

test('a match that crossed with a cancel, and its end', () => {
  const tab = looking();
  tab.session.cancel();
  tab.hear(matched('c1'), ended('stranger'));
  assert.deepEqual(tab.take().map((frame) => frame.type), ['cancel', 'leave']);
  assert.equal(tab.session.phase, 'idle');
});
