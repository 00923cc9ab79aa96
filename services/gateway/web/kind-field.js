// What one goes out for: a chat, to ask two strangers a question and watch, or to discuss somebody's question.

import { byId } from './elements.js';
import { KIND } from './tab-store.js';
import { QUESTION_LEAST, QUESTION_MOST, charCount, lineText } from './text.js';

const KINDS = {
  chat: { go: 'Start strolling', hint: '' },
  ask: {
    go: 'Ask and watch',
    hint: 'Two strangers get your question and discuss it. You can only read along.',
  },
  discuss: {
    go: 'Discuss a question',
    hint: 'You and a stranger get somebody’s question. Whoever asked it reads along.',
  },
};

export class KindField {
  #store;
  #input = byId('question-input');
  kind = 'chat';

  // `store` is the tab's: another tab may be out for something else.
  constructor(store) {
    this.#store = store;
    const { kind, question } = store.load(KIND) ?? {};
    if (typeof question === 'string') this.#input.value = question;
    if (Object.hasOwn(KINDS, kind)) this.kind = kind;
    for (const radio of document.querySelectorAll('input[name="kind"]')) {
      radio.checked = radio.value === this.kind;
      radio.addEventListener('change', () => this.#choose(radio.value));
    }
    this.#input.addEventListener('input', () => this.#edited());
    // A question is one line.
    this.#input.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      byId('start-form').requestSubmit();
    });
    this.#show();
  }

  get question() {
    return lineText(this.#input.value);
  }

  // Whether one can go with this; if not, it says why and takes the focus there.
  check() {
    const wrong = this.#wrong();
    this.#error(wrong);
    if (wrong) this.#input.focus();
    return !wrong;
  }

  #choose(kind) {
    this.kind = kind;
    this.#error('');
    this.#keep();
    this.#show();
  }

  #edited() {
    this.#keep();
    this.#count();
    if (!byId('question-error').hidden) this.#error(this.#wrong());
  }

  #wrong() {
    if (this.kind !== 'ask') return '';
    const length = charCount(this.question);
    if (length < QUESTION_LEAST) return `Please write a question of at least ${QUESTION_LEAST} characters.`;
    return length > QUESTION_MOST ? `A question has at most ${QUESTION_MOST} characters.` : '';
  }

  #error(text) {
    byId('question-error').textContent = text;
    byId('question-error').hidden = text === '';
    this.#input.ariaInvalid = String(text !== '');
  }

  #count() {
    const length = charCount(this.question);
    byId('question-count').textContent = `${QUESTION_LEAST} to ${QUESTION_MOST} characters, ${length} so far.`;
  }

  #keep() {
    this.#store.save(KIND, { kind: this.kind, question: this.question });
  }

  #show() {
    const { hint, go } = KINDS[this.kind];
    byId('kind-hint').textContent = hint;
    byId('question-field').hidden = this.kind !== 'ask';
    byId('interest-field').hidden = this.kind !== 'chat';
    byId('start').textContent = go;
    this.#count();
  }
}
