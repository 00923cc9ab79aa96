// The page of a chat: waiting for it, having it, and its end.

import { Banner } from './banner.js';
import { Composer } from './composer.js';
import { byId } from './elements.js';
import { EndedView } from './ended-view.js';
import { saveLog } from './log.js';
import { StopButton } from './stop.js';
import { SureButton } from './sure-button.js';
import { Transcript } from './transcript.js';
import { TypingNotice } from './typing-notice.js';
import { WaitingView } from './waiting-view.js';
import { company } from './words.js';

const STATES = { waiting: 'waiting', chat: 'chatting', ended: 'ended', again: 'asking' };

export class ChatView {
  #session;
  #settings;
  #actions;
  #view = document.querySelector('[data-view="chat"]');
  #stop = byId('stop');
  #button = new StopButton();
  #transcript = new Transcript();
  #typing = new TypingNotice();
  #waiting = new WaitingView((text) => this.#status(text));
  #ended;
  #composer;
  #block;
  #banner;
  #phase = 'idle';

  // `actions` are `wish()`, `next()` (find another), `home()` and `report()`.
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
    this.#ended = new EndedView({ session, actions });
    this.#block = new SureButton(byId('block'), {
      warning: 'Press again to end the chat and never meet this stranger again.',
      act: () => session.block(),
    });
    this.#stop.addEventListener('click', () => this.step());
    this.#banner = new Banner(session);
    byId('report-open').addEventListener('click', () => actions.report());
    byId('save-log').addEventListener('click', () => saveLog(session.chat));
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
    if (this.#session.phase === 'again') this.#session.cancel();
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
    const before = this.#phase;
    this.#phase = phase;
    this.#button.enter(phase);
    this.#showButton();
    this.#block.relent();
    this.#waiting.close();
    this.#ended.close();
    this.#typing.clear();
    const { chat, watching } = this.#session;
    this.#view.hidden = phase === 'idle';
    this.#view.dataset.state = STATES[phase] ?? 'waiting';
    byId('waiting').hidden = phase !== 'waiting';
    byId('question').hidden = !chat?.question;
    byId('question-text').textContent = chat?.question ?? '';
    for (const id of ['report-open', 'save-log']) byId(id).hidden = phase !== 'chat';
    byId('block').hidden = phase !== 'chat' || watching;
    this.#showComposer(phase === 'chat' && watching);
    this.#banner.show();
    if (phase === 'waiting') this.#startWaiting();
    if (phase === 'chat' || (phase === 'ended' && restored)) this.#transcript.open(chat);
    if (phase === 'chat') this.#startChat(restored);
    if (phase === 'ended') this.#startEnded(restored || before === 'again');
    if (phase === 'again') this.#startAsking();
  }

  // Who only watches sees why there is nothing to write in.
  #showComposer(watching) {
    byId('watching').hidden = !watching;
    byId('writing').hidden = watching;
    byId('send').hidden = watching;
  }

  #startWaiting() {
    this.#composer.close();
    this.#waiting.open(this.#actions.wish());
    this.#focusTitle('Looking for a stranger');
  }

  #startChat(restored) {
    const { chat, watching, draft } = this.#session;
    this.#status(company(chat));
    byId('chat-title').textContent = watching ? 'Two strangers discuss your question' : 'Chat with a stranger';
    if (watching) this.#composer.close();
    else this.#composer.open(restored ? draft : '');
    if (restored && document.activeElement !== document.body) return;
    if (watching) this.#focusTitle();
    else this.#composer.focus();
  }

  #startEnded(calm) {
    const { by } = this.#session.chat.ended;
    const walkOn = !calm && this.#settings.autoNext && (by === 'stranger' || by === 'away');
    this.#composer.close();
    byId('chat-title').textContent = 'The chat is over';
    this.#status(this.#ended.open({ walkOn }));
  }

  #startAsking() {
    this.#status(this.#ended.open({ walkOn: false }));
    this.#focusTitle('Asking to meet again');
  }

  #focusTitle(text = byId('chat-title').textContent) {
    byId('chat-title').textContent = text;
    byId('chat-title').focus({ preventScroll: true });
  }

  // News of the search.
  waiting(news) {
    this.#waiting.news(news);
  }

  stay() {
    this.#ended.stay();
  }

  // === While it lasts

  #say(text) {
    if (!this.#session.say(text)) return false;
    this.#button.relent();
    this.#block.relent();
    this.#showButton();
    return true;
  }

  line(line) {
    this.#transcript.add(line);
  }

  mark(line) {
    this.#transcript.mark(line);
  }

  // Without `from`: nobody types any more.
  typing(on, from) {
    if (on) this.#typing.show(from);
    else if (from) this.#typing.hide(from);
    else this.#typing.clear();
  }

  link(link) {
    this.#banner.link(link);
  }

  resumed() {
    this.#composer.resumed();
  }

  limits({ message_chars: most }) {
    if (most) this.#composer.limit(most);
  }

  stranger() {
    this.#banner.show();
  }

  #status(text) {
    byId('status').textContent = text;
  }
}
