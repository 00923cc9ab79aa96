// The dialog in which a stranger is reported.

import { byId, make } from './elements.js';
import { charCount, messageText } from './text.js';
import { REASONS } from './words.js';

const COMMENT_CHARS = 1_000;

export class ReportDialog {
  #session;
  #dialog = byId('report');
  #comment = byId('report-comment');
  #sending = false;

  constructor(session) {
    this.#session = session;
    byId('report-reasons').append(...REASONS.map(reason));
    this.#comment.addEventListener('input', () => this.#count());
    byId('report-cancel').addEventListener('click', () => this.#dialog.close());
    byId('report-close').addEventListener('click', () => this.#dialog.close());
    byId('report-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  open() {
    const { watching } = this.#session;
    byId('report-form').reset();
    byId('report-title').textContent = watching ? 'Report this chat' : 'Report this stranger';
    byId('report-discreet').textContent = watching ? 'The two are' : 'Your stranger is';
    byId('report-ask').hidden = false;
    byId('report-done').hidden = true;
    this.#error('');
    this.#count();
    this.#dialog.showModal();
  }

  async #send() {
    if (this.#sending) return;
    const chosen = this.#dialog.querySelector('input[name="reason"]:checked');
    const comment = messageText(this.#comment.value);
    if (!chosen) {
      this.#error('Please choose what is wrong.');
      return this.#dialog.querySelector('input[name="reason"]').focus();
    }
    if (charCount(comment) > COMMENT_CHARS) return this.#comment.focus();
    if (!this.#session.reportable) return this.#error('This chat is too long over to be reported.');
    this.#busy(true);
    try {
      this.#thank(await this.#session.report(chosen.value, comment));
    } catch (error) {
      this.#error(error.message);
    }
    this.#busy(false);
  }

  #thank(number) {
    this.#error('');
    byId('report-ask').hidden = true;
    byId('report-done').hidden = false;
    const thanks = byId('report-thanks');
    const name = make('strong', { id: 'report-case', text: number });
    thanks.replaceChildren('Thank you. A moderator will look at it. The number of your case is ', name, '.');
    if (this.#dialog.open) thanks.focus();
  }

  #busy(busy) {
    this.#sending = busy;
    byId('report-send').ariaDisabled = String(busy);
    byId('report-send').textContent = busy ? 'Sending …' : 'Send the report';
  }

  #count() {
    const left = COMMENT_CHARS - charCount(messageText(this.#comment.value));
    this.#comment.ariaInvalid = String(left < 0);
    const text = left >= 0 ? `${left} characters left` : `${-left} characters too many`;
    byId('report-count').textContent = left > 200 ? '' : text;
  }

  #error(text) {
    byId('report-error').textContent = text;
    byId('report-error').hidden = text === '';
  }
}

function reason([value, words]) {
  return make('label', {}, make('input', { type: 'radio', name: 'reason', value }), make('span', { text: words }));
}
