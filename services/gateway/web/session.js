// One stranger: what phase they are in, their chat, and what each frame changes.
//
// Phases: `idle` (the start page) → `waiting` → `chat` → `ended`, and from there perhaps `again` (asking to meet the
// same one) → `chat` or `ended`. The session knows no page: it tells a listener, as `{type, …}`, and keeps what a
// reload of the tab must not lose in the tab's own storage. Invariants: nothing of a chat is shown after its end; what
// was acknowledged is in storage; there is a `find` or `again` only outside a chat.

import { againUntil } from './again.js';
import { forStorage, fromStorage, mark, newChat } from './chat.js';
import { Leaving } from './leaving.js';
import { Outflow } from './outflow.js';
import { Reporting } from './reporting.js';
import { Search, findFrame } from './search.js';
import { CHAT, CONSENT, DRAFT, SESSION, TabStore } from './tab-store.js';
import { usable } from './welcome.js';

const REPORT_WINDOW = 120_000;
// So long after the last moment to ask the gateway may take to say that it came to nothing.
const AGAIN_PATIENCE = 75_000;

// Refusals that a later try may get past.
const PASSING = new Set(['slow_down', 'bad_seq', 'busy', 'unavailable', 'not_now']);

export class Session {
  phase = 'idle';
  chat = null;
  consent = false;
  #connection;
  #store;
  #listener;
  #wish = null;
  #search;
  #outflow;
  #reporting = new Reporting();
  #leaving;
  // The connection came to a final end; only a person may begin another.
  #stopped = false;
  #limits = {};
  #sections = [];
  #againTimer = null;

  // `connect(handlers)` makes the connection, so that tests can put a scripted one in its place.
  constructor({ connect, storage, listener }) {
    this.#store = new TabStore(storage);
    this.#listener = listener;
    this.consent = this.#store.load(CONSENT) === true;
    this.#connection = connect({
      hello: () => this.#hello(),
      needed: () => this.#needed(),
      onFrame: (frame) => this.#frame(frame),
      onState: (state, detail) => this.#link(state, detail),
    });
    const send = (frame) => this.#connection.send(frame);
    this.#search = new Search({ send, free: () => !this.#leaving.pending });
    this.#leaving = new Leaving({ send, attached: () => this.#outflow.attached, settled: () => this.#left() });
    this.#outflow = new Outflow({
      send,
      renew: () => this.#connection.renew(),
      sent: (seqs) => this.#mark(seqs, 'sent'),
      settled: (seqs) => this.#mark(seqs, 'delivered'),
      alone: () => this.chat?.away === true,
    });
  }

  // === What the page asks for

  // Shows what a reload of the tab interrupted; `revive` then takes it up.
  restore() {
    const stored = this.#store.load(CHAT);
    if (!stored) return;
    this.chat = fromStorage(stored);
    this.phase = stored.ended ? 'ended' : 'chat';
    if (this.phase === 'chat') this.#outflow.begin(this.chat.delivery);
    this.#tell('phase', { restored: true });
  }

  // The token of the session that this tab lives in, if any.
  get held() {
    return this.#store.load(SESSION);
  }

  // What the storage holds is another tab's.
  forget() {
    if (this.#searching) return;
    for (const key of [SESSION, CHAT, DRAFT]) this.#store.remove(key);
    this.chat = null;
    if (this.phase !== 'idle') this.#enter('idle');
  }

  // What was being written, over a reload of the tab.
  get draft() {
    return this.#store.load(DRAFT) ?? '';
  }

  set draft(text) {
    if (text === '') this.#store.remove(DRAFT);
    else this.#store.save(DRAFT, text);
  }

  agree() {
    this.consent = true;
    this.#store.save(CONSENT, true);
  }

  find(wish) {
    if (this.phase === 'again') this.#search.cancel();
    clearTimeout(this.#againTimer);
    this.#wish = wish;
    this.chat = null;
    this.#store.remove(CHAT);
    this.#enter('waiting');
    this.#connection.open();
    this.#search.begin(() => findFrame(wish, { most: this.#limits.interests, sections: this.#sections }));
  }

  // Until when the last stranger can be asked for again, as a time; 0 if not at all.
  get againUntil() {
    return this.phase === 'ended' ? againUntil(this.chat) : 0;
  }

  again() {
    if (Date.now() >= this.againUntil) return;
    this.#againTimer = setTimeout(() => this.#giveUp(), this.againUntil + AGAIN_PATIENCE - Date.now());
    this.#enter('again');
    this.#connection.open();
    this.#search.begin(() => ({ type: 'again' }));
  }

  cancel() {
    if (!this.#searching) return;
    clearTimeout(this.#againTimer);
    this.#search.cancel();
    this.#enter(this.phase === 'again' ? 'ended' : 'idle');
  }

  // Back to the start page after a chat.
  home() {
    if (this.phase !== 'ended') return;
    this.chat = null;
    this.#store.remove(CHAT);
    this.#enter('idle');
  }

  // Returns the line, or null when it can't be taken now.
  say(text) {
    if (this.phase !== 'chat' || this.watching || this.chat.delivery.full) return null;
    const frame = this.chat.delivery.push(text);
    const line = { from: 'you', text, seq: frame.seq, state: 'sending', at: Date.now() };
    this.#addLine(line);
    this.#outflow.flow();
    return line;
  }

  typing(on) {
    if (this.phase !== 'chat' || this.watching || !this.#outflow.attached) return;
    this.#connection.send({ type: 'typing', on });
  }

  leave() {
    this.#leave(false);
  }

  // The end, and these two never meet again.
  block() {
    if (!this.watching) this.#leave(true);
  }

  // Asked a question, and only watches.
  get watching() {
    return this.chat?.role === 'spy';
  }

  get reportable() {
    if (!this.chat) return false;
    return this.phase === 'chat' || (this.phase === 'ended' && Date.now() - this.chat.endedAt < REPORT_WINDOW);
  }

  // Resolves with the case's number; rejects with an Error whose message can be shown.
  report(reason, comment) {
    const answer = this.#reporting.begin(reason, comment);
    // The gateway that had the chat is the one to tell, also while it is going away.
    if (!this.#connection.ready) this.#connection.open();
    this.#sendReport();
    return answer;
  }

  // The network or the page came back.
  revive() {
    if (!this.#stopped) this.reconnect();
  }

  // A person pressed the button that a stopped connection offers.
  reconnect() {
    if (!this.#needed()) return;
    if (this.#connection.ready) this.#connection.renew();
    else this.#connection.open();
  }

  // The tab goes. A chat is left alone, because a reload comes back into it; a search is not.
  goodbye() {
    if (!this.#searching) return;
    this.#search.pause();
    this.#connection.close();
  }

  // === The connection

  #hello() {
    const hello = { type: 'hello' };
    const session = this.#store.load(SESSION);
    const resume = this.#leaving.resume ?? (this.phase === 'chat' ? this.chat.resume : null);
    if (session) hello.session = session;
    if (resume) hello.resume = resume;
    if (this.consent) Object.assign(hello, { adult: true, terms: true });
    return hello;
  }

  #needed() {
    return this.#searching || this.phase === 'chat' || this.#leaving.pending || this.#reporting.pending;
  }

  get #searching() {
    return this.phase === 'waiting' || this.phase === 'again';
  }

  #link(state, detail) {
    this.#stopped = state === 'stopped';
    if (state !== 'ready') {
      this.#outflow.detach();
      this.#search.settled();
      this.#reporting.lost();
      this.#leaving.lost();
    }
    if (state === 'stopped') {
      this.#reporting.refuse('The connection was closed.');
      this.#leaving.forget();
    }
    this.#tell('link', { state, ...detail });
  }

  // === What the gateway says

  #frame(frame) {
    this.#outflow.heard();
    const handlers = {
      welcome: () => this.#welcome(frame),
      idle: () => this.#idle(),
      waiting: () => this.#waiting(frame),
      matched: () => this.#matched(frame),
      message: () => this.#numbered(frame),
      signal: () => this.#numbered(frame),
      ack: () => this.#acked(frame.seq),
      typing: () => this.#strangerTyping(frame),
      resumed: () => this.#resumed(frame),
      stranger: () => this.#stranger(frame.state === 'away', frame.grace_ms),
      going_away: () => this.#search.move(),
      ended: () => this.#ended(frame),
      notice: () => this.#notice(frame),
      reported: () => this.#reporting.stored(frame.case),
      error: () => this.#refused(frame),
    };
    // A frame that this client does not know is for a later one.
    if (Object.hasOwn(handlers, frame.type)) handlers[frame.type]();
  }

  #welcome(frame) {
    this.#remember(frame.session);
    this.#outflow.attached = false;
    const { online, limits, sections } = usable(frame);
    if (online !== null) this.#tell('online', { online });
    [this.#limits, this.#sections] = [limits, sections];
    this.#tell('limits', limits);
    this.#tell('sections', { sections });
    if (this.#limits.unacked && this.chat) this.chat.delivery.window = this.#limits.unacked;
    if (this.phase === 'ended' && !this.#leaving.pending) this.#sendReport();
    this.#search.welcomed();
  }

  #idle() {
    if (!this.#search.ended()) return;
    if (this.phase === 'again') this.#unmet();
    else this.#search.sayAgain();
  }

  #waiting(frame) {
    // It keeps one's place.
    this.#remember(frame.session);
    if (!this.#search.confirmed() || this.phase !== 'waiting') return;
    this.#tell('waiting', { estimate: frame.estimate_ms, widened: frame.widened === true });
  }

  #matched(frame) {
    this.#outflow.attached = true;
    if (this.phase === 'chat' && frame.chat === this.chat.id) {
      this.chat.resume = frame.resume;
      return this.#outflow.flowAnew();
    }
    this.#search.settled();
    if (!this.#searching) {
      // It crossed with our `cancel`.
      return this.#leaving.begin({ id: frame.chat, resume: frame.resume, block: false });
    }
    const met = this.phase === 'again';
    clearTimeout(this.#againTimer);
    this.#search.forget();
    this.chat = { ...newChat(frame, met ? null : this.#wish, this.#limits.unacked), met };
    this.#outflow.begin(this.chat.delivery);
    this.draft = '';
    this.#keep();
    this.#enter('chat');
  }

  #numbered(frame) {
    if (this.phase !== 'chat') return;
    if (this.watching) return this.#overheard(frame);
    const verdict = this.chat.delivery.receive(frame.seq);
    if (verdict === 'gap') return;
    if (verdict === 'new') {
      this.#stranger(false);
      if (frame.type === 'message') this.#spoken('stranger', frame.text);
      else this.#keep();
    }
    this.#connection.send({ type: 'ack', seq: this.chat.delivery.seen });
  }

  // A spy acknowledges nothing: the two talk with one another.
  #overheard(frame) {
    const fresh = frame.type === 'message' && this.chat.watched.receive(frame.from, frame.seq);
    if (fresh) this.#spoken(frame.from, frame.text);
  }

  #spoken(from, text) {
    this.#tell('typing', { on: false, from });
    this.#addLine({ from, text: String(text), at: Date.now() });
  }

  #acked(seq) {
    if (this.phase === 'chat' && this.#outflow.acked(seq)) this.#stranger(false);
  }

  #strangerTyping(frame) {
    if (this.phase !== 'chat') return;
    if (frame.on === true && !this.watching) this.#stranger(false);
    this.#tell('typing', { on: frame.on === true, from: this.watching ? frame.from : 'stranger' });
  }

  #resumed(frame) {
    if (this.#leaving.pending) {
      this.#outflow.attached = true;
      return this.#leaving.resumed(frame.resume);
    }
    if (this.phase !== 'chat' || frame.chat !== this.chat.id) return;
    this.#outflow.attached = true;
    if (typeof frame.resume === 'string') {
      this.chat.resume = frame.resume;
      this.#keep();
    }
    // Whether the stranger is there is told by `stranger`, not by this.
    this.#outflow.acked(frame.received);
    this.#outflow.repeat();
    this.#sendReport();
    this.#tell('resumed');
  }

  // `grace` is the time after which the chat ends if they stay away, where the gateway knows.
  #stranger(away, grace) {
    if (this.phase !== 'chat' || (this.chat.away === away && !Number.isFinite(grace))) return;
    this.chat.away = away;
    this.chat.awayUntil = away && Number.isFinite(grace) ? Date.now() + grace : null;
    this.#keep();
    if (away) this.#tell('typing', { on: false });
    this.#tell('stranger', { away });
  }

  // `ended` brings a new one, which remembers the chat's stranger.
  #remember(token) {
    if (typeof token === 'string') this.#store.save(SESSION, token);
  }

  #ended(frame) {
    this.#remember(frame.session);
    if (this.phase === 'chat' && frame.chat === this.chat.id) return this.#end({ by: frame.by, reason: frame.reason });
    this.#leaving.ended(frame);
  }

  #notice(frame) {
    const text = String(frame.text ?? '');
    if (text === '') return;
    if (this.phase === 'chat') this.#addLine({ from: 'notice', text, at: Date.now() });
    else this.#tell('notice', { text });
  }

  #refused({ code, text, retry_after_ms: after }) {
    const delay = Number.isFinite(after) ? after : 1_000;
    if (code === 'banned') return this.#turnAway(code, text);
    if (code === 'resume_failed') return this.#leaving.pending ? this.#leaving.settle() : this.#end({ by: 'lost' });
    if (this.#isOfReport(code)) this.#reporting.refuse(text || 'The report was refused.');
    if (this.#leaving.pending && code === 'not_now') return this.#leaving.settle();
    if (this.phase === 'chat' && PASSING.has(code)) return this.#outflow.refused(delay, code);
    if (this.phase === 'again' && (code === 'not_now' || !PASSING.has(code))) return this.#unmet();
    if (this.#searching && PASSING.has(code)) {
      if (code !== 'not_now' && this.phase === 'waiting' && !this.#search.moving) this.#tell('busy');
      return this.#search.sayAfter(delay);
    }
    if (this.phase === 'waiting') this.#turnAway(code, text);
  }

  // === Waiting

  // No word came of an `again`.
  #giveUp() {
    this.#search.cancel();
    this.#unmet();
  }

  // They did not both ask in time. Which of them did is not told to anybody.
  #unmet() {
    clearTimeout(this.#againTimer);
    this.#search.forget();
    this.chat.unmet = true;
    this.#keep();
    this.#enter('ended');
  }

  // The gateway won't have us look for anybody.
  #turnAway(code, text) {
    if (this.phase === 'again') this.#unmet();
    this.#search.forget();
    if (this.phase === 'chat') this.#end({ by: 'moderation' });
    else if (this.phase === 'waiting') this.#enter('idle');
    if (code === 'consent_required') {
      this.consent = false;
      this.#store.remove(CONSENT);
    }
    this.#tell('refused', { code, text });
  }

  // === Leaving

  #leave(block) {
    if (this.phase !== 'chat') return;
    const { id, resume } = this.chat;
    this.#end({ by: 'you', blocked: block });
    this.#leaving.begin({ id, resume, block });
  }

  // The gateway knows that the chat is over, so another may be looked for.
  #left() {
    this.#sendReport();
    this.#search.say();
  }

  #end(ended) {
    if (this.phase !== 'chat') return;
    const open = this.#outflow.end();
    this.draft = '';
    this.chat.ended = { by: ended.by, reason: ended.reason, blocked: ended.blocked };
    this.chat.endedAt = Date.now();
    Object.assign(this.chat, { away: false, awayUntil: null });
    this.#tell('typing', { on: false });
    this.#mark(open, 'undelivered');
    this.#keep();
    this.#enter('ended');
  }

  // === Reports

  #sendReport() {
    if (this.phase !== 'chat' || this.#outflow.attached) this.#reporting.send((frame) => this.#connection.send(frame));
  }

  // An error does not name what it refuses. What may be a search's or a message's leaves the report its patience: taken
  // for refused, it would be made twice.
  #isOfReport(code) {
    if (this.#searching || !this.#reporting.mayBeRefusedBy(code)) return false;
    return code !== 'slow_down' || this.phase !== 'chat' || this.chat.delivery.unacked.length === 0;
  }

  // === Lines, phases, storage

  #addLine(line) {
    this.chat.lines.push(line);
    this.#keep();
    this.#tell('line', { line });
  }

  #mark(seqs, state) {
    if (seqs.length === 0) return;
    for (const line of mark(this.chat.lines, seqs, state)) this.#tell('mark', { line });
    this.#keep();
  }

  #enter(phase) {
    this.phase = phase;
    this.#tell('phase', { restored: false });
  }

  #tell(type, detail = {}) {
    this.#listener({ type, ...detail });
  }

  #keep() {
    this.#store.save(CHAT, forStorage(this.chat));
  }
}
