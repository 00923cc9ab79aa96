// The conversation as it is seen: a log of messages, kept at its end unless somebody scrolled up to read.

import { byId, make, print } from './elements.js';
import { greeting, listed, speaker } from './words.js';

const NEAR_THE_END = 80;

const STATES = {
  sending: 'not sent yet',
  sent: 'sent',
  delivered: 'delivered',
  undelivered: 'not delivered',
};

export class Transcript {
  #log = byId('log');
  #toLatest = byId('to-latest');
  #last = null;
  #rows = new Map();

  constructor() {
    this.#toLatest.addEventListener('click', () => {
      this.#scrollToEnd();
      this.#log.focus({ preventScroll: true });
    });
    this.#log.addEventListener('scroll', () => {
      if (this.#atEnd) this.#toLatest.hidden = true;
    });
    // The keyboard of a phone, the banner and the growing box all take from the log's height.
    let atEnd = true;
    this.#log.addEventListener('scroll', () => {
      atEnd = this.#atEnd;
    });
    new ResizeObserver(() => {
      if (atEnd) this.#scrollToEnd();
    }).observe(this.#log);
  }

  // Shows a chat from its beginning. `aria-busy` keeps a screen reader from reading all of a restored one.
  open(chat) {
    this.#log.ariaBusy = 'true';
    this.#last = null;
    this.#rows.clear();
    this.#toLatest.hidden = true;
    this.#log.dataset.hue = String(hue(chat.id));
    this.#log.replaceChildren(opening(chat));
    for (const line of chat.lines) this.#append(line);
    this.#scrollToEnd();
    requestAnimationFrame(() => {
      this.#log.ariaBusy = 'false';
    });
  }

  add(line) {
    const follow = this.#atEnd || line.from === 'you';
    this.#append(line).classList.add('fresh');
    if (follow) this.#scrollToEnd();
    else this.#toLatest.hidden = false;
  }

  mark(line) {
    const row = this.#rows.get(line.seq);
    if (row) setState(row, line.state);
  }

  // A new turn shows who speaks; the next message of the same person only says it to a screen reader.
  #append(line) {
    const who = make('p', { className: 'who' }, line.from === 'notice' ? 'From Stroll' : speaker(line.from));
    if (line.from.startsWith('stranger')) who.prepend(print());
    const bubble = make('div', { className: 'bubble' }, make('div', { className: 'words', text: line.text, dir: 'auto' }));
    const row = make('div', { className: 'message' }, who, bubble);
    row.classList.toggle('turn', this.#last !== line.from);
    row.dataset.from = line.from;
    if (line.from === 'you') {
      bubble.append(make('span', { className: 'delivery', role: 'img' }, print(), print()));
      row.dataset.seq = String(line.seq);
      setState(row, line.state);
      this.#rows.set(line.seq, row);
    }
    this.#last = line.from;
    this.#log.append(row);
    return row;
  }

  get #atEnd() {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < NEAR_THE_END;
  }

  #scrollToEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#toLatest.hidden = true;
  }
}

function setState(row, state) {
  row.dataset.state = state;
  // A changed label, unlike changed text, is not read out again by the live region.
  const mark = row.querySelector('.delivery');
  mark.ariaLabel = STATES[state];
  mark.title = STATES[state];
}

function opening(chat) {
  const top = make('p', { className: 'opening', id: 'opening' });
  if (chat.common.length > 0) {
    top.append(chat.met ? 'You meet again. You both like ' : 'You both like ', make('strong', { className: 'likes', id: 'common-interests', text: listed(chat.common) }));
  } else {
    top.append(greeting(chat));
  }
  return top;
}

// One of five colours for this chat's stranger.
function hue(id) {
  let sum = 0;
  for (const char of String(id)) sum = (sum * 31 + char.codePointAt(0)) % 10_007;
  return sum % 5;
}
