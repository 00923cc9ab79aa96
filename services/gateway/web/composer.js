// The box in which one writes.

import { byId } from './elements.js';
import { MESSAGE_CHARS, charCount, messageText } from './text.js';
import { Typing } from './typing.js';

const COUNT_FROM = 200;

export class Composer {
  #input = byId('message-input');
  #hint = byId('message-hint');
  #typing;
  #say;
  #open = false;
  #draft;
  #most = MESSAGE_CHARS;

  // `say(text)` returns whether the text was taken; `typing(on)` tells the stranger; `draft(text)` keeps it.
  constructor({ say, typing, draft }) {
    this.#say = say;
    this.#draft = draft;
    this.#typing = new Typing(typing);
    this.#input.addEventListener('input', () => this.#changed());
    this.#input.addEventListener('keydown', (event) => {
      // 229 is what some browsers say of the Enter that only ends a composition.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#submit();
    });
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
      this.#input.focus();
    });
  }

  // A chat begins, or goes on after a reload with what was being written.
  open(draft = '') {
    this.#open = true;
    this.#input.readOnly = false;
    this.#input.value = draft;
    this.#input.placeholder = 'Write a message …';
    byId('send').ariaDisabled = 'false';
    this.#fit();
    this.#count();
  }

  // The box is made read-only, not disabled: whoever was writing keeps the focus, and no stray Enter or Space presses
  // a button that happened to come under it.
  close() {
    this.#open = false;
    this.#typing.clear();
    this.#input.readOnly = true;
    this.#input.placeholder = '';
    byId('send').ariaDisabled = 'true';
    this.#hint.textContent = '';
  }

  // The gateway's limit for a message.
  limit(most) {
    this.#most = most;
    if (this.#open) this.#count();
  }

  // The stranger may have missed what was told of the typing, so the next key tells it again.
  resumed() {
    this.#typing.clear();
  }

  focus() {
    this.#input.focus({ preventScroll: true });
  }

  #changed() {
    this.#fit();
    this.#count();
    if (!this.#open) return;
    this.#typing.changed(this.#input.value);
    this.#draft(this.#input.value);
  }

  #submit() {
    if (!this.#open) return;
    const text = messageText(this.#input.value);
    if (text === '') return;
    if (charCount(text) > this.#most) return this.#count();
    if (!this.#say(text)) {
      this.#hint.textContent = 'Your last messages are still on their way. Please wait a moment.';
      return;
    }
    this.#typing.clear();
    this.#input.value = '';
    this.#draft('');
    this.#fit();
    this.#count();
  }

  #count() {
    const left = this.#most - charCount(messageText(this.#input.value));
    this.#input.ariaInvalid = String(left < 0);
    if (left > COUNT_FROM) this.#hint.textContent = '';
    else this.#hint.textContent = left >= 0 ? `${left} characters left` : `${-left} characters too many`;
  }

  // As high as its text, up to the limit in the style sheet.
  #fit() {
    this.#input.style.height = 'auto';
    this.#input.style.height = `${this.#input.scrollHeight + 3}px`;
  }
}
