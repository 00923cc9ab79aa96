import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Watched } from '../delivery.js';
import { findFrame } from '../search.js';
import { Tab, WISH } from './tab.js';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'] }));
afterEach(() => mock.timers.reset());

const QUESTION = 'Is a hot dog a sandwich?';
const ASK = { ...WISH, kind: 'ask', question: QUESTION };
const from = (seat, seq, text) => ({ type: 'message', seq, text, from: `stranger_${seat}` });
const spying = () => new Tab().inChat(ASK, { role: 'spy', common_interests: [], question: QUESTION });

test('what find says of each kind of wish', () => {
  const has = { most: 10, sections: ['main', 'quiet'] };
  const wish = { ...WISH, onlyInterests: true, question: QUESTION };
  const plain = { type: 'find', mode: 'text', interests: ['jazz'], languages: ['en'], only_interests: true };
  const asked = { type: 'find', mode: 'text', interests: [], languages: ['en'] };
  assert.deepEqual(findFrame({ ...wish, kind: 'chat' }, has), plain);
  assert.deepEqual(findFrame({ ...wish, kind: 'ask' }, has), { ...asked, ask: QUESTION });
  assert.deepEqual(findFrame({ ...wish, kind: 'discuss' }, has), { ...asked, discuss: true });
  assert.equal(findFrame({ ...wish, section: 'quiet' }, has).section, 'quiet');
  for (const section of ['gone', null]) assert.equal('section' in findFrame({ ...wish, section }, has), false);
  assert.equal('section' in findFrame({ ...wish, section: 'quiet' }, { most: 10, sections: [] }), false);
});

test('a section is named only to a gateway that has it', () => {
  const tab = new Tab();
  tab.welcome = { sections: ['main', 'quiet'] };
  tab.session.find({ ...WISH, section: 'quiet' });
  tab.connect();
  assert.equal(tab.take()[0].section, 'quiet');
  assert.deepEqual(tab.told.find(({ type }) => type === 'sections').sections, ['main', 'quiet']);
  tab.welcome = {};
  tab.lose().connect();
  mock.timers.tick(400);
  assert.equal('section' in tab.take()[0], false);
});

test('a spy sees two counts, acknowledges neither, and says nothing', () => {
  const tab = spying();
  tab.hear(from(1, 1, 'no'), from(2, 1, 'yes'), from(2, 2, 'why not?'), from(1, 2, 'bread'), from(2, 2, 'why not?'));
  assert.deepEqual(tab.lines, ['stranger_1 no', 'stranger_2 yes', 'stranger_2 why not?', 'stranger_1 bread']);
  assert.equal(tab.session.say('hello'), null);
  tab.session.typing(true);
  tab.session.block();
  assert.equal(tab.session.phase, 'chat');
  assert.deepEqual(tab.take(), []);
  tab.session.leave();
  assert.deepEqual(tab.take(), [{ type: 'leave' }]);
});

test('after a reload a spy sees what is new, once, also past a gap', () => {
  const before = spying();
  before.hear(from(1, 1, 'a'), from(2, 1, 'b'));
  const tab = new Tab(before.storage);
  tab.session.restore();
  tab.connect().hear({ type: 'resumed', chat: 'c1', received: 0 }, from(1, 1, 'a'), from(2, 1, 'b'), from(2, 4, 'c'), from(2, 3, 'late'));
  assert.deepEqual(tab.lines, ['stranger_1 a', 'stranger_2 b', 'stranger_2 c']);
  assert.deepEqual(tab.take(), []);
});

test('to a spy one who writes does not bring the other one back', () => {
  const tab = spying().hear({ type: 'stranger', state: 'away' }, from(1, 1, 'hello?'), { type: 'typing', on: true, from: 'stranger_1' });
  assert.equal(tab.session.chat.away, true);
  assert.deepEqual(tab.told.at(-1), { type: 'typing', on: true, from: 'stranger_1' });
});

test('nonsense from a sender is not shown', () => {
  const watched = new Watched();
  for (const [name, seq] of [['stranger', 1], ['toString', 1], ['stranger_3', 1], ['stranger_1', '1'], ['stranger_1', 0]]) {
    assert.equal(watched.receive(name, seq), false);
  }
  assert.deepEqual(JSON.parse(JSON.stringify(watched)), { stranger_1: 0, stranger_2: 0 });
});

test('one who discusses has the question, and no interests were promised', () => {
  const tab = new Tab().inChat({ ...WISH, kind: 'discuss' }, { common_interests: [], question: QUESTION });
  const { role, kind, question, asked } = tab.session.chat;
  assert.deepEqual([role, kind, question, asked], ['stranger', 'discuss', QUESTION, false]);
  assert.ok(tab.session.say('yes'));
});
