// The one button: Stop → Really? → New. Pure; the page shows `label` and does what `step` returns.

export class StopButton {
  #phase = 'idle';
  #sure = false;

  get label() {
    if (this.#phase === 'ended') return 'New';
    return this.#sure ? 'Really?' : 'Stop';
  }

  // The session went into another phase.
  enter(phase) {
    this.#phase = phase;
    this.#sure = false;
  }

  // Whoever goes on writing did not mean to stop.
  relent() {
    this.#sure = false;
  }

  // A press, or Esc: `cancel`, `leave`, `find`, or null when it only asked for a second one.
  step() {
    switch (this.#phase) {
      case 'waiting':
      case 'again':
        return 'cancel';
      case 'ended':
        return 'find';
      case 'chat':
        if (this.#sure) return 'leave';
        this.#sure = true;
        return null;
      default:
        return null;
    }
  }
}
