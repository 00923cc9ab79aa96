// The page of a chat: waiting for it, having it, and its end.

import { Composer } from './composer.js';
import { byId, toast } from './elements.js';
import { copyLog, saveLog } from './log.js';
import { StopButton } from './stop.js';
import { Transcript } from './transcript.js';
import { either, endedText, languageName, speaker } from './words.js';

const NEXT_AFTER = 5;
const TYPING_AT_MOST = 60_000;
const BANNER_AFTER = 800;

const STOPPED = {
  replaced: ['Stroll was opened with this chat in another tab or window.', 'Use it here'],
  refused: ['The server closed the connection.', 'Try again'],
  banned: ['You have been banned from Stroll.', ''],
};

export class ChatView {
  #session;
  #settings;
  #actions;
  #view = document.querySelector('[data-view="chat"]');
  #stop = byId('stop');
  #button = new StopButton();
  #transcript = new Transcript();
  #composer;
  #timers = { countdown: null, typing: null, banner: null, report: null };
  #link = { state: 'ready' };

  // `actions` are `next()` (find another), `home()` and `report()`.
  constructor({ session, settings, actions }) {
    this.#session = session;
    this.#settings = settings;
    this.#actions = actions;
    this.#composer = new Composer({
      say: (text) => this.#say(text),
      typing: (on) => session.typing(on),
      draft: (text) => {
        session.draft = text;
      },
    });
    this.#stop.addEventListener('click', () => this.step());
    byId('home').addEventListener('click', () => actions.home());
    byId('countdown-cancel').addEventListener('click', () => {
      this.stay();
      this.#stop.focus();
    });
    byId('banner-action').addEventListener('click', () => session.reconnect());
    for (const id of ['report-open', 'ended-report']) byId(id).addEventListener('click', () => actions.report());
    for (const id of ['save-log', 'ended-save']) byId(id).addEventListener('click', () => saveLog(session.chat));
    byId('copy-log').addEventListener('click', () => this.#copy());
  }

  // === The button

  // A press of the button, or Esc.
  step() {
    this.#do(this.#button.step());
    this.#showButton();
  }

  // Shift, Alt or Meta with Esc: the end of this one and the beginning of the next.
  skip() {
    if (this.#session.phase === 'chat') this.#session.leave();
    if (this.#session.phase === 'ended') this.#actions.next();
  }

  #do(action) {
    if (action === 'cancel') this.#session.cancel();
    if (action === 'leave') this.#session.leave();
    if (action === 'find') this.#actions.next();
  }

  #showButton() {
    this.#stop.textContent = this.#button.label;
    this.#stop.dataset.label = this.#button.label;
  }

  // === Phases

  enter(phase, { restored }) {
    this.stay();
    this.#button.enter(phase);
    this.#showButton();
    const { chat } = this.#session;
    this.#view.hidden = phase === 'idle';
    this.#view.dataset.state = { waiting: 'waiting', chat: 'chatting', ended: 'ended' }[phase] ?? 'waiting';
    byId('waiting').hidden = phase !== 'waiting';
    byId('ended').hidden = phase !== 'ended';
    byId('save-log').hidden = phase !== 'chat';
    this.typing(false);
    this.#showReport();
    this.#showBanner();
    if (phase === 'waiting') this.#startWaiting();
    if (phase === 'chat' || (phase === 'ended' && restored)) this.#transcript.open(chat);
    if (phase === 'chat') this.#startChat(restored);
    if (phase === 'ended') this.#startEnded(restored);
  }

  #startWaiting() {
    this.#composer.close();
    this.waiting({ widened: false });
    byId('chat-title').focus({ preventScroll: true });
  }

  #startChat(restored) {
    this.#composer.open(restored ? this.#session.draft : '');
    if (!restored || document.activeElement === document.body) this.#composer.focus();
    this.#status('Talking with a stranger');
  }

  #startEnded(restored) {
    const { ended } = this.#session.chat;
    this.#composer.close();
    byId('ended-text').textContent = endedText(ended);
    this.#status(endedText(ended));
    const left = ended.by === 'stranger' || ended.by === 'away';
    if (left && this.#settings.autoNext && !restored) this.#countDown(NEXT_AFTER);
  }

  // News of the search. `wish` is repeated, so that one sees what is looked for.
  waiting({ estimate, widened, busy }) {
    const { interests, languages, onlyInterests } = this.#actions.wish();
    const likes = interests.length > 0 ? `somebody who likes ${either(interests)}` : '';
    const speaks = languages.length > 0 ? ` who speaks ${either(languages.map(languageName))}` : '';
    let note = likes ? `For a moment we look for ${likes}, then for anybody${speaks}.` : `Picking somebody at random${speaks}.`;
    if (likes && onlyInterests) note = `We look for ${likes}, however long it takes.`;
    if (widened) note = `Nobody with your interests is around right now, so we look for anybody${speaks}.`;
    if (busy) note = 'Stroll is very busy at the moment. We keep trying.';
    if (Number.isFinite(estimate) && estimate >= 1_500) note += ` It usually takes about ${duration(estimate)}.`;
    if (byId('waiting-note').textContent !== note) byId('waiting-note').textContent = note;
    this.#status(widened || busy ? note : 'Looking for a stranger …');
  }

  // === While it lasts

  #say(text) {
    if (!this.#session.say(text)) return false;
    this.#button.relent();
    this.#showButton();
    return true;
  }

  line(line) {
    this.#transcript.add(line);
  }

  mark(line) {
    this.#transcript.mark(line);
  }

  // A lost `typing off` must not leave the stranger typing for ever.
  typing(on, from = 'stranger') {
    clearTimeout(this.#timers.typing);
    byId('typing').hidden = !on;
    byId('typing-text').textContent = `${speaker(from)} is typing …`;
    if (on) this.#timers.typing = setTimeout(() => this.typing(false), TYPING_AT_MOST);
  }

  link(link) {
    this.#link = link;
    clearTimeout(this.#timers.banner);
    const calm = link.state === 'ready' || link.state === 'stopped' || link.state === 'idle';
    // A short gap is nobody's business.
    if (calm) this.#showBanner();
    else this.#timers.banner = setTimeout(() => this.#showBanner(), BANNER_AFTER);
  }

  resumed() {
    this.#composer.resumed();
  }

  limits({ message_chars: most }) {
    if (most) this.#composer.limit(most);
  }

  stranger() {
    this.#showBanner();
  }

  // One's own connection is told before the stranger's: while it is gone, nothing is known of the other.
  #showBanner() {
    const live = this.#session.phase === 'chat' || this.#session.phase === 'waiting';
    const { state, why } = this.#link;
    let [text, action] = ['', ''];
    // Who was banned out of a chat sees its end first, and must still learn why no other follows.
    const told = live || (this.#session.phase === 'ended' && why === 'banned');
    if (told && state === 'stopped') [text, action] = STOPPED[why];
    else if (live && (state === 'retrying' || state === 'connecting')) text = this.#connectingText();
    else if (this.#session.phase === 'chat' && this.#session.chat.away) {
      text = 'Your stranger lost the connection. Waiting for them to come back …';
    }
    const banner = byId('banner');
    banner.dataset.kind = text === '' ? '' : state === 'ready' ? 'stranger-away' : state;
    banner.hidden = text === '';
    byId('banner-text').textContent = text;
    byId('banner-action').textContent = action;
    byId('banner-action').hidden = action === '';
  }

  #connectingText() {
    if (navigator.onLine === false) return 'You seem to be offline. Waiting for the network …';
    return this.#session.phase === 'chat' ? 'Reconnecting … What you write is kept and sent then.' : 'Connecting …';
  }

  // === After it

  // The time until the next stranger is shown, and stands still while a dialog is open.
  #countDown(seconds) {
    clearTimeout(this.#timers.countdown);
    if (seconds === 0) return this.#actions.next();
    byId('countdown').hidden = false;
    byId('countdown-text').textContent = `Walking on in ${seconds} …`;
    const left = document.querySelector('dialog[open]') ? seconds : seconds - 1;
    this.#timers.countdown = setTimeout(() => this.#countDown(left), 1_000);
  }

  // No walking on by itself, this time.
  stay() {
    clearTimeout(this.#timers.countdown);
    byId('countdown').hidden = true;
  }

  #showReport() {
    clearTimeout(this.#timers.report);
    const { phase, chat } = this.#session;
    byId('report-open').hidden = !(phase === 'chat' && chat);
    byId('ended-report').hidden = !this.#session.reportable;
    if (phase === 'ended' && this.#session.reportable) {
      this.#timers.report = setTimeout(() => this.#showReport(), 5_000);
    }
  }

  async #copy() {
    try {
      await copyLog(this.#session.chat);
      toast('The log was copied.');
    } catch {
      toast('The browser did not allow copying. You can save the log instead.');
    }
  }

  #status(text) {
    byId('status').textContent = text;
  }
}

function duration(milliseconds) {
  const seconds = Math.round(milliseconds / 1_000);
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.round(seconds / 60);
  return minutes === 1 ? 'a minute' : `${minutes} minutes`;
}
