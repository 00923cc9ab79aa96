// How fast numbered frames go out: below the gateway's own limit (10 a second, 30 at once), so that it refuses none.
//
// A token bucket. Pure but for the clock.

const RATE = 8;
const BURST = 24;

export class Pace {
  #tokens = BURST;
  #at = Date.now();

  // 0 when a frame may go now, else the milliseconds until one may.
  take() {
    this.#refill();
    if (this.#tokens < 1) return Math.ceil(((1 - this.#tokens) * 1_000) / RATE);
    this.#tokens -= 1;
    return 0;
  }

  // The gateway said that this was too fast, so its own bucket is empty.
  empty() {
    this.#refill();
    this.#tokens = 0;
  }

  #refill() {
    const now = Date.now();
    this.#tokens = Math.min(BURST, this.#tokens + (Math.max(0, now - this.#at) * RATE) / 1_000);
    this.#at = now;
  }
}
