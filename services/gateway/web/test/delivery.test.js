import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Delivery } from '../delivery.js';

const seqs = (frames) => frames.map((frame) => frame.seq);

test('numbers from one without gaps', () => {
  const delivery = new Delivery();
  assert.deepEqual(delivery.push('a'), { type: 'message', seq: 1, text: 'a' });
  assert.deepEqual(delivery.push('b'), { type: 'message', seq: 2, text: 'b' });
});

test('an acknowledgement is cumulative, and settles each number once', () => {
  const delivery = new Delivery();
  for (const text of 'abcd') delivery.push(text);
  assert.deepEqual(delivery.acked(3), [1, 2, 3]);
  assert.deepEqual(delivery.acked(2), []);
  assert.deepEqual(delivery.acked(3), []);
  assert.deepEqual(seqs(delivery.unacked), [4]);
});

test('an acknowledgement of what was never sent is ignored', () => {
  const delivery = new Delivery();
  delivery.push('a');
  for (const seq of [2, 99, -1, 1.5, NaN, undefined, '1']) assert.deepEqual(delivery.acked(seq), []);
  assert.deepEqual(seqs(delivery.unacked), [1]);
});

test('the window bounds what is outstanding', () => {
  const delivery = new Delivery({}, 2);
  delivery.push('a');
  assert.equal(delivery.full, false);
  delivery.push('b');
  assert.equal(delivery.full, true);
  delivery.acked(1);
  assert.equal(delivery.full, false);
});

test('each number is shown once and in order', () => {
  const delivery = new Delivery();
  const verdicts = [2, 1, 1, 3, 2, 3, 1, 2, 4].map((seq) => delivery.receive(seq));
  assert.deepEqual(verdicts, ['gap', 'new', 'seen', 'gap', 'new', 'new', 'seen', 'seen', 'new']);
  assert.equal(delivery.seen, 4);
  assert.equal(delivery.receive('5'), 'gap');
});

test('a reload forgets nothing', () => {
  const delivery = new Delivery();
  for (const text of 'abc') delivery.push(text);
  delivery.acked(1);
  delivery.receive(1);
  const again = new Delivery(JSON.parse(JSON.stringify(delivery)));
  assert.deepEqual(seqs(again.unacked), [2, 3]);
  assert.equal(again.receive(1), 'seen');
  assert.equal(again.push('d').seq, 4);
});

test('refusals are of the last frames that were sent; everything else stays as sent', () => {
  const delivery = new Delivery();
  for (const text of 'abcde') delivery.push(text);
  delivery.sent = 5;
  delivery.refused(2);
  assert.deepEqual([seqs(delivery.repeat()), seqs(delivery.unsent())], [[1, 2, 3], [4, 5]]);
  delivery.acked(1);
  delivery.refused(99);
  assert.deepEqual(seqs(delivery.unsent()), [2, 3, 4, 5]);
});

test('two ends over a line that loses and repeats agree in the end', () => {
  let seed = 7;
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  for (let round = 0; round < 200; round += 1) {
    const [one, other] = [new Delivery(), new Delivery()];
    const shown = [];
    let said = 0;
    while (one.unacked.length > 0 || said < 20) {
      if (said < 20 && random() < 0.5 && !one.full) one.push(said++);
      for (const frame of one.unacked.slice()) {
        if (random() < 0.3) continue;
        if (other.receive(frame.seq) === 'new') shown.push(frame.text);
      }
      if (random() < 0.6) one.acked(other.seen);
    }
    assert.deepEqual(shown, [...Array(20).keys()]);
  }
});
