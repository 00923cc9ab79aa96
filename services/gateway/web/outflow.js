// Sending, and sending again: what goes out of one chat's numbered frames, and when.
//
// `attached` says that the gateway knows this socket to be in the chat; before that nothing numbered goes out.

import { Pace } from './pace.js';

const SILENCE = 10_000;
// So long the refusals of one burst may take to come in.
const REFUSALS_WITHIN = 400;

export class Outflow {
  attached = false;
  #delivery = null;
  // Refusals since frames were last sent again, and such rounds without an acknowledgement in between.
  #refusals = 0;
  #fruitless = 0;
  #silences = 0;
  #pace = new Pace();
  #timers = { repeat: null, pace: null, silence: null };
  #options;

  // `send(frame)` returns whether a socket took it, `sent(seqs)` and `settled(seqs)` are told, `alone()` says whether
  // the stranger is away, and `renew()` opens a new socket beside the present one.
  constructor(options) {
    this.#options = options;
  }

  // A chat begins, or is taken up after a reload.
  begin(delivery) {
    this.#delivery = delivery;
    this.#fruitless = 0;
  }

  // The chat is over. Returns the numbers that were never acknowledged.
  end() {
    for (const name of ['repeat', 'pace', 'silence']) clearTimeout(this.#timers[name]);
    this.#timers.repeat = null;
    this.#refusals = 0;
    this.#fruitless = 0;
    const open = this.#delivery.unacked.map((frame) => frame.seq);
    this.#delivery = null;
    return open;
  }

  // The socket is gone.
  detach() {
    this.attached = false;
    clearTimeout(this.#timers.silence);
  }

  // Something came from the gateway.
  heard() {
    clearTimeout(this.#timers.silence);
  }

  // Sends what was not sent yet, in order, and no faster than the gateway takes it. While a refused stretch waits for
  // its repeat nothing goes out: what follows it would only be refused too.
  flow() {
    clearTimeout(this.#timers.pace);
    if (!this.#delivery || !this.attached || this.#timers.repeat !== null) return;
    const sent = [];
    for (const frame of this.#delivery.unsent()) {
      const wait = this.#pace.take();
      if (wait > 0) {
        this.#timers.pace = setTimeout(() => this.flow(), wait);
        break;
      }
      if (!this.#options.send(frame)) break;
      this.#delivery.sent = frame.seq;
      sent.push(frame.seq);
    }
    this.#options.sent(sent);
    this.#watchSilence();
  }

  // The chat is with another gateway, which has seen nothing of it.
  flowAnew() {
    this.#delivery.refused(Infinity);
    this.flow();
  }

  // The stranger has everything up to `seq`. Returns whether that was news.
  acked(seq) {
    const settled = this.#delivery.acked(seq);
    if (settled.length === 0) return false;
    this.#fruitless = 0;
    this.#silences = 0;
    this.#options.settled(settled);
    this.#watchSilence();
    return true;
  }

  // The gateway asked for everything that is not acknowledged. Such repeats are free of its rate limit.
  repeat() {
    clearTimeout(this.#timers.repeat);
    this.#timers.repeat = null;
    this.#refusals = 0;
    for (const frame of this.#delivery.repeat()) this.#options.send(frame);
    this.flow();
  }

  // A refusal does not name its frame, but the gateway takes no number after one that it refused: so as many refusals
  // as came, so many of the last frames it lacks, and only they are sent again. Nothing goes out in the pause, so that
  // the count is whole at its end. Without an acknowledgement in between the pauses grow, and after a few all of the
  // list is sent, at the usual pace.
  refused(delay, code) {
    if (this.#delivery.unacked.length === 0) return;
    this.#refusals += 1;
    if (code === 'slow_down') this.#pace.empty();
    if (this.#timers.repeat !== null) return;
    const pause = Math.min(10_000, Math.max(REFUSALS_WITHIN, delay) * 2 ** Math.min(this.#fruitless, 5));
    this.#fruitless += 1;
    clearTimeout(this.#timers.pace);
    this.#timers.repeat = setTimeout(() => {
      this.#timers.repeat = null;
      this.#delivery.refused(this.#fruitless > 3 ? Infinity : this.#refusals);
      this.#refusals = 0;
      this.flow();
    }, pause);
  }

  // A phone that changed networks may hold a socket that is dead without knowing it. If something of ours is out, the
  // stranger is there and nothing at all has come for a while, a new socket is opened beside the old one: ever more
  // rarely, since it may as well be the stranger's socket that is dead.
  #watchSilence() {
    clearTimeout(this.#timers.silence);
    if (!this.attached || this.#options.alone() || this.#delivery.unacked.length === 0) return;
    this.#timers.silence = setTimeout(() => {
      this.#silences += 1;
      this.#options.renew();
    }, SILENCE * 2 ** Math.min(this.#silences, 4));
  }
}
