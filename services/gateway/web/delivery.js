// Numbering, acknowledgement and repeat of one chat, seen from one end.
//
// The two clients keep this state, no server does. Ours are numbered from 1 without gaps and kept until the
// stranger's client acknowledges them; the stranger's are shown exactly once and in order. Pure: no timer, no
// socket, no page, so that a reload can put it back from its JSON form.

export class Delivery {
  constructor(state = {}, window = 64) {
    this.window = window;
    this.next = state.next ?? 1;
    this.seen = state.seen ?? 0;
    this.unacked = state.unacked ?? [];
    // Everything of ours up to here was given to a gateway, and not refused as far as we know.
    this.sent = state.sent ?? 0;
  }

  // True when the stranger has so much of ours outstanding that the gateway would refuse more.
  get full() {
    return this.unacked.length >= this.window;
  }

  // Numbers a text, keeps it, and returns the frame to send.
  push(text) {
    const frame = { type: 'message', seq: this.next, text };
    this.next += 1;
    this.unacked.push(frame);
    return frame;
  }

  // The stranger has everything up to `seq`. Returns the numbers that this settles.
  acked(seq) {
    if (!Number.isSafeInteger(seq) || seq >= this.next) return [];
    const settled = this.unacked.filter((frame) => frame.seq <= seq).map((frame) => frame.seq);
    if (settled.length > 0) this.unacked = this.unacked.filter((frame) => frame.seq > seq);
    return settled;
  }

  // What was sent and has to be sent again when the gateway asks for it, in order.
  repeat() {
    return this.unacked.filter((frame) => frame.seq <= this.sent);
  }

  // What is still to be sent, in order.
  unsent() {
    return this.unacked.filter((frame) => frame.seq > this.sent);
  }

  // The gateway refused `count` of the frames that were sent. It takes no number after one that it did not take, so
  // those are the last ones. A count that is too high costs repeats; one that is too low is refused again, and the
  // counts then add up.
  refused(count) {
    const known = (this.unacked[0]?.seq ?? this.next) - 1;
    this.sent = Math.max(Math.min(known, this.sent), this.sent - count);
  }

  // Judges a numbered frame of the stranger's: `new` is shown and acknowledged, `seen` only acknowledged (the first
  // acknowledgement may have been lost), and `gap` neither, so that what is missing comes again, and it after that.
  receive(seq) {
    if (!Number.isSafeInteger(seq) || seq > this.seen + 1) return 'gap';
    if (seq <= this.seen) return 'seen';
    this.seen = seq;
    return 'new';
  }

  toJSON() {
    return { next: this.next, seen: this.seen, unacked: this.unacked, sent: this.sent };
  }
}

// What a spy has seen: a count for each of the two who talk. After a new socket messages may come twice or not at all,
// so a number that was passed is dropped and a gap is not waited for.
export class Watched {
  constructor(state = {}) {
    this.seen = { stranger_1: state.stranger_1 ?? 0, stranger_2: state.stranger_2 ?? 0 };
  }

  // Whether this is to be shown.
  receive(from, seq) {
    if (!Object.hasOwn(this.seen, from) || !Number.isSafeInteger(seq) || seq <= this.seen[from]) return false;
    this.seen[from] = seq;
    return true;
  }

  toJSON() {
    return this.seen;
  }
}
