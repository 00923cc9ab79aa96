import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Connection } from '../connection.js';

class Socket {
  static all = [];
  readyState = 0;
  sent = [];
  closed = null;

  constructor(url, protocol) {
    assert.equal(protocol, 'stroll.v1');
    Socket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.readyState = 3;
    this.closed = code;
  }

  // What the gateway does.
  opens() {
    this.readyState = 1;
    this.onopen();
    return this;
  }

  says(frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
    return this;
  }

  ends(code) {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

let needed = true;
let frames = [];
let states = [];

function connection() {
  Socket.all = [];
  frames = [];
  states = [];
  needed = true;
  return new Connection({
    url: 'ws://here/v1/ws',
    WebSocket: Socket,
    random: () => 0.5,
    hello: () => ({ type: 'hello' }),
    needed: () => needed,
    onFrame: (frame) => frames.push(frame.type),
    onState: (state, detail) => states.push(detail.why ?? state),
  });
}

const WELCOME = { type: 'welcome' };

beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'] }));
afterEach(() => mock.timers.reset());

test('hello first, and nothing else before the welcome', () => {
  const line = connection();
  line.open();
  line.open();
  assert.equal(Socket.all.length, 1);
  const [socket] = Socket.all;
  socket.opens();
  assert.equal(line.send({ type: 'find' }), false);
  socket.says(WELCOME);
  assert.equal(line.send({ type: 'find' }), true);
  assert.deepEqual(socket.sent.map((frame) => frame.type), ['hello', 'find']);
});

test('going_away: the new socket is welcomed before the old one is closed', () => {
  const line = connection();
  line.open();
  const old = Socket.all[0].opens().says(WELCOME);
  old.says({ type: 'going_away', reconnect_after_ms: 300 });
  mock.timers.tick(300);
  assert.equal(Socket.all.length, 2);
  const [, young] = Socket.all;
  young.opens();
  old.says({ type: 'message' });
  assert.equal(line.send({ type: 'typing' }), true);
  assert.equal(old.closed, null);
  young.says(WELCOME);
  assert.equal(old.closed, 1000);
  old.says({ type: 'message' });
  assert.deepEqual(frames, ['welcome', 'going_away', 'message', 'welcome']);
  line.send({ type: 'ack' });
  assert.equal(young.sent.at(-1).type, 'ack');
  assert.ok(!states.includes('retrying'));
});

test('a move that fails is tried again, ever more slowly, while the old socket serves, and nobody hears of it', () => {
  const line = connection();
  line.open();
  const old = Socket.all[0].opens().says(WELCOME);
  old.says({ type: 'going_away', reconnect_after_ms: 300 });
  states.length = 0;
  mock.timers.tick(300);
  for (const pause of [1_250, 1_500, 2_000]) {
    Socket.all.at(-1).ends(1006);
    const before = Socket.all.length;
    mock.timers.tick(pause - 1);
    assert.equal(Socket.all.length, before);
    mock.timers.tick(1);
    assert.equal(Socket.all.length, before + 1);
    old.says({ type: 'message' });
    assert.equal(line.send({ type: 'ack' }), true);
  }
  assert.deepEqual([states, frames.filter((type) => type === 'message').length], [[], 3]);
  Socket.all.at(-1).opens().says(WELCOME);
  assert.deepEqual([states, old.closed], [['ready'], 1000]);
  mock.timers.tick(60_000);
  assert.equal(Socket.all.length, 5);
});

test('an old socket that closes before the move came about is a lost one', () => {
  const line = connection();
  line.open();
  const old = Socket.all[0].opens().says(WELCOME);
  old.says({ type: 'going_away', reconnect_after_ms: 0 });
  mock.timers.tick(0);
  Socket.all[1].ends(1006);
  old.ends(1012);
  assert.equal(states.at(-1), 'retrying');
  mock.timers.tick(3_000);
  Socket.all[2].opens().says(WELCOME);
  assert.deepEqual([states.at(-1), Socket.all.length], ['ready', 3]);
});

test('what needs no socket does not move, and what begins later does', () => {
  const line = connection();
  line.open();
  Socket.all[0].opens().says(WELCOME).says({ type: 'going_away', reconnect_after_ms: 0 });
  needed = false;
  mock.timers.tick(10_000);
  assert.equal(Socket.all.length, 1);
  line.open();
  line.open();
  assert.equal(Socket.all.length, 2);
  Socket.all[1].opens().says(WELCOME);
  assert.equal(Socket.all[0].closed, 1000);
  line.open();
  assert.equal(Socket.all.length, 2);
});

test('the 4004 that the old socket gets during a move is not the end', () => {
  const line = connection();
  line.open();
  const old = Socket.all[0].opens().says(WELCOME);
  line.renew();
  Socket.all[1].opens();
  old.ends(4004);
  assert.ok(!states.includes('replaced'));
  Socket.all[1].says(WELCOME);
  assert.equal(states.at(-1), 'ready');
});

test('1012 waits as long as going_away said', () => {
  const line = connection();
  line.open();
  const old = Socket.all[0].opens().says(WELCOME);
  old.says({ type: 'going_away', reconnect_after_ms: 700 });
  old.ends(1012);
  mock.timers.tick(699);
  assert.equal(Socket.all.length, 1);
  mock.timers.tick(1);
  assert.equal(Socket.all.length, 2);
});

test('it comes back with growing pauses, and only when needed', () => {
  const line = connection();
  line.open();
  for (const pause of [250, 500, 1_000]) {
    Socket.all.at(-1).opens().ends(1006);
    const before = Socket.all.length;
    mock.timers.tick(pause - 1);
    assert.equal(Socket.all.length, before);
    mock.timers.tick(1);
    assert.equal(Socket.all.length, before + 1);
  }
  needed = false;
  Socket.all.at(-1).ends(1006);
  mock.timers.tick(60_000);
  assert.equal(states.at(-1), 'idle');
  assert.equal(Socket.all.length, 4);
});

test('a socket that never opened is tried again after a second at least', () => {
  const line = connection();
  line.open();
  Socket.all[0].ends(1006);
  mock.timers.tick(1_249);
  assert.equal(Socket.all.length, 1);
  mock.timers.tick(1);
  assert.equal(Socket.all.length, 2);
});

test('final codes stop it, until somebody asks', () => {
  for (const [code, why] of [[4004, 'replaced'], [4501, 'banned'], [1008, 'refused']]) {
    const line = connection();
    line.open();
    Socket.all[0].opens().says(WELCOME).ends(code);
    mock.timers.tick(60_000);
    assert.equal(states.at(-1), why);
    assert.equal(Socket.all.length, 1);
    line.open();
    assert.equal(Socket.all.length, 2);
    line.close();
  }
});

test('a gateway that does not answer hello is given up', () => {
  const line = connection();
  line.open();
  Socket.all[0].opens();
  mock.timers.tick(10_000);
  assert.equal(Socket.all[0].closed, 1000);
  mock.timers.tick(250);
  assert.equal(Socket.all.length, 2);
});
