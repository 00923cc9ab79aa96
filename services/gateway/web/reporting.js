// One report on its way: sent when it can be, and settled by its answer or by its patience.

const PATIENCE = 15_000;

// Refusals that may be a report's.
const MAY_REFUSE = new Set(['unavailable', 'not_now', 'bad_value', 'slow_down']);

export class Reporting {
  #report = null;

  get pending() {
    return this.#report !== null;
  }

  // Resolves with the case's number; rejects with an Error whose message can be shown.
  begin(reason, comment) {
    this.refuse('Another report took its place.');
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.refuse('No answer came. Please try again.'), PATIENCE);
      const frame = comment ? { type: 'report', reason, comment } : { type: 'report', reason };
      this.#report = { frame, resolve, reject, timer, sent: false };
    });
  }

  // `send(frame)` returns whether a socket took it.
  send(send) {
    if (this.#report && !this.#report.sent) this.#report.sent = send(this.#report.frame);
  }

  // The socket is gone, and with it perhaps the report.
  lost() {
    if (this.#report) this.#report.sent = false;
  }

  mayBeRefusedBy(code) {
    return this.#report?.sent === true && MAY_REFUSE.has(code);
  }

  stored(number) {
    this.#settle()?.resolve(String(number));
  }

  refuse(text) {
    this.#settle()?.reject(new Error(text));
  }

  #settle() {
    const report = this.#report;
    this.#report = null;
    clearTimeout(report?.timer);
    return report;
  }
}
