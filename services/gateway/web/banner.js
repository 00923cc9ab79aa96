// The band above the composer: one's own connection, or the stranger's.
//
// A short gap is nobody's business, so one's own is told only after a while. The seconds that are left for the stranger to
// come back are for the eye; read out is only that they are away, and that they are back.

import { byId } from './elements.js';
import { awayText, backText } from './words.js';

const LATE_AFTER = 1_000;
const TICK = 1_000;

const STOPPED = {
  replaced: ['Stroll was opened with this chat in another tab or window.', 'Use it here'],
  refused: ['The server closed the connection.', 'Try again'],
  banned: ['You have been banned from Stroll.', ''],
};

export class Banner {
  #session;
  #link = { state: 'ready' };
  // The gap has lasted long enough to be told.
  #late = false;
  #wasReady = false;
  // What is shown: '', `link` or `stranger`.
  #shows = '';
  #timers = { late: null, left: null };

  constructor(session) {
    this.#session = session;
    byId('banner-action').addEventListener('click', () => session.reconnect());
  }

  // News of one's own connection.
  link(link) {
    this.#link = link;
    this.#wasReady ||= link.state === 'ready';
    if (this.#broken) {
      this.#timers.late ??= setTimeout(() => this.#isLate(), LATE_AFTER);
    } else {
      clearTimeout(this.#timers.late);
      this.#timers.late = null;
      this.#late = false;
    }
    this.show();
  }

  // One's own connection is told before the stranger's: while it is gone, nothing is known of the other.
  show() {
    const { phase, chat } = this.#session;
    const live = ['chat', 'waiting', 'again'].includes(phase);
    const { state, why } = this.#link;
    // Who was banned out of a chat sees its end first, and must still learn why no other follows.
    const told = live || (phase === 'ended' && why === 'banned');
    if (told && state === 'stopped') this.#tell('link', ...STOPPED[why]);
    else if (live && this.#late) this.#tell('link', this.#connectingText());
    else if (phase === 'chat' && chat.away) this.#tell('stranger', awayText(chat));
    else this.#tell('');
    byId('banner').dataset.kind = this.#shows === 'stranger' ? 'stranger-away' : this.#shows === 'link' ? state : '';
    this.#countDown();
  }

  get #broken() {
    return this.#link.state === 'retrying' || this.#link.state === 'connecting';
  }

  #isLate() {
    this.#late = true;
    this.show();
  }

  #tell(shows, text = '', action = '') {
    const { phase, chat } = this.#session;
    if (this.#shows === 'stranger' && shows === '' && phase === 'chat') this.#say(backText(chat));
    else if (this.#shows === 'link' && shows === '' && this.#link.state === 'ready') this.#say('Connected again.');
    else if (shows !== '') this.#say('');
    this.#shows = shows;
    byId('banner').hidden = shows === '';
    // What is written again is read out again.
    if (byId('banner-text').textContent !== text) byId('banner-text').textContent = text;
    byId('banner-action').textContent = action;
    byId('banner-action').hidden = action === '';
  }

  // For the ear only: the eye sees that the band is gone.
  #say(text) {
    byId('banner-gone').textContent = text;
  }

  #countDown() {
    clearTimeout(this.#timers.left);
    const until = this.#shows === 'stranger' ? this.#session.chat.awayUntil : null;
    const left = until === null ? 0 : until - Date.now();
    byId('banner-left').textContent = left > 0 ? `${Math.ceil(left / 1_000)}\u00a0s` : '';
    // On the second, so that none is skipped and none stays for two.
    if (left > 0) this.#timers.left = setTimeout(() => this.#countDown(), left % TICK || TICK);
  }

  #connectingText() {
    if (navigator.onLine === false) return 'You seem to be offline. Waiting for the network …';
    const writes = this.#session.phase === 'chat' && !this.#session.watching;
    if (writes) return 'Reconnecting … What you write is kept and sent then.';
    return this.#wasReady ? 'Reconnecting …' : 'Connecting …';
  }
}
