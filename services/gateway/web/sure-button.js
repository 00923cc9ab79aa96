// A button whose first press only asks `Really?`, as Stop does, and whose second one acts.

import { toast } from './elements.js';

const PATIENCE = 6_000;

export class SureButton {
  #button;
  #words;
  #calm;
  #options;
  #timer = null;
  #hide = null;

  // `warning` says what a second press will do; `act()` does it. The label is the button's `span`.
  constructor(button, options) {
    this.#button = button;
    this.#words = button.querySelector('span');
    this.#calm = this.#words.textContent;
    this.#options = options;
    button.addEventListener('click', () => this.#press());
  }

  // Not meant, or no longer.
  relent() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#hide?.();
    this.#show(this.#calm);
  }

  #press() {
    if (this.#timer !== null) {
      this.relent();
      return this.#options.act();
    }
    this.#timer = setTimeout(() => this.relent(), PATIENCE);
    this.#show('Really?');
    this.#hide = toast(this.#options.warning, PATIENCE);
  }

  #show(label) {
    this.#words.textContent = label;
    this.#button.dataset.label = label;
  }
}
