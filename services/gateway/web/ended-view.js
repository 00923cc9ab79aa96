// What is seen after a chat: how it ended, walking on by itself, and asking for the same stranger again.

import { byId, toast } from './elements.js';
import { copyLog, saveLog } from './log.js';
import { endedText } from './words.js';

const NEXT_AFTER = 5;
const TICK = 1_000;
const REPORT_EVERY = 5_000;
const ASKING = 'Asking to meet again. If they ask too, you will meet.';
const UNMET = 'You did not meet again.';

export class EndedView {
  #session;
  #actions;
  #timers = { countdown: null, again: null, report: null };

  // `actions` are `next()` (find another), `home()` and `report()`.
  constructor({ session, actions }) {
    this.#session = session;
    this.#actions = actions;
    byId('home').addEventListener('click', () => actions.home());
    byId('again').addEventListener('click', () => session.again());
    byId('countdown-cancel').addEventListener('click', () => {
      this.stay();
      byId('stop').focus();
    });
    byId('ended-report').addEventListener('click', () => actions.report());
    byId('ended-save').addEventListener('click', () => saveLog(session.chat));
    byId('copy-log').addEventListener('click', () => this.#copy());
  }

  // Shows the end, or the asking, of the session's chat. `walkOn` says whether to go on by itself. Returns what is said.
  open({ walkOn }) {
    this.close();
    const { phase, chat } = this.#session;
    const asking = phase === 'again';
    const text = asking ? ASKING : chat.unmet ? UNMET : endedText(chat.ended, chat.role);
    byId('ended').hidden = false;
    byId('ended-text').textContent = text;
    byId('ended-actions').hidden = asking;
    byId('asking-steps').toggleAttribute('hidden', !asking);
    byId('home').textContent = chat.kind === 'chat' ? 'Change interests' : 'Back to start';
    this.#offerAgain();
    this.#offerReport();
    if (walkOn) this.#countDown(NEXT_AFTER);
    return text;
  }

  close() {
    this.stay();
    clearTimeout(this.#timers.again);
    clearTimeout(this.#timers.report);
    byId('ended').hidden = true;
  }

  // No walking on by itself, this time.
  stay() {
    clearTimeout(this.#timers.countdown);
    byId('countdown').hidden = true;
  }

  // The time until the next stranger is shown, and stands still while a dialog is open.
  #countDown(seconds) {
    clearTimeout(this.#timers.countdown);
    if (seconds === 0) return this.#actions.next();
    byId('countdown').hidden = false;
    byId('countdown-text').textContent = `Walking on in ${seconds} …`;
    const left = document.querySelector('dialog[open]') ? seconds : seconds - 1;
    this.#timers.countdown = setTimeout(() => this.#countDown(left), TICK);
  }

  // The seconds are for the eye only; read out, they would be a nuisance.
  #offerAgain() {
    clearTimeout(this.#timers.again);
    const button = byId('again');
    const seconds = Math.ceil((this.#session.againUntil - Date.now()) / 1_000);
    const focused = document.activeElement === button;
    button.hidden = seconds <= 0;
    if (button.hidden) return focused && byId('stop').focus();
    byId('again-left').textContent = `${seconds} s`;
    this.#timers.again = setTimeout(() => this.#offerAgain(), TICK);
  }

  #offerReport() {
    clearTimeout(this.#timers.report);
    byId('ended-report').hidden = !this.#session.reportable;
    if (this.#session.reportable) this.#timers.report = setTimeout(() => this.#offerReport(), REPORT_EVERY);
  }

  async #copy() {
    try {
      await copyLog(this.#session.chat);
      toast('The log was copied.');
    } catch {
      toast('The browser did not allow copying. You can save the log instead.');
    }
  }
}
