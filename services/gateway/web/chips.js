// Chips: a list of short words, each with a button that removes it.

import { make, symbol } from './elements.js';

export class Chips {
  #list;
  #options;

  // `value` of an item identifies it; `onRemove(value)` changes the data, then `show` is called again.
  // `fallback` gets the focus when no chip is left.
  constructor(list, options) {
    this.#list = list;
    this.#options = options;
  }

  // `items` are `{value, text, lang?}`.
  show(items) {
    this.#list.replaceChildren(...items.map((item) => this.#chip(item)));
  }

  // Points at a chip, because it was entered twice.
  nudge(value) {
    const same = (chip) => chip.dataset.value.toLowerCase() === value.toLowerCase();
    const chip = [...this.#list.children].find(same);
    if (!chip) return;
    chip.classList.add('nudge');
    chip.addEventListener('animationend', () => chip.classList.remove('nudge'), { once: true });
  }

  #chip({ value, text, lang }) {
    const word = make('span', { text, dir: 'auto', title: text });
    if (lang) word.lang = lang;
    const remove = make('button', { type: 'button', ariaLabel: `Remove ${text}` }, symbol('icon-close', 'icon'));
    remove.addEventListener('click', () => this.#remove(value));
    const chip = make('li', { className: 'chip' }, word, remove);
    chip.dataset.value = value;
    return chip;
  }

  // The focus goes to the next chip, so that the keyboard isn't thrown back to the top of the page.
  #remove(value) {
    const index = [...this.#list.children].findIndex((chip) => chip.dataset.value === value);
    this.#options.onRemove(value);
    const next = this.#list.children[Math.min(index, this.#list.children.length - 1)];
    (next?.querySelector('button') ?? this.#options.fallback).focus();
  }
}
