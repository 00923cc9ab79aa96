// One stranger: what phase they are in, their chat, and what each frame changes.
//
// Phases: `idle` (the start page) → `waiting` → `chat` → `ended`. The session knows no page: it tells a listener, as
// `{type, …}`, and keeps what a reload of the tab must not lose in the tab's own storage. Invariants: nothing of a
// chat is shown after its end; what was acknowledged is in storage; there is a `find` only outside a chat.

import { Delivery } from './delivery.js';
import { Pace } from './pace.js';
import { CHAT, CONSENT, DRAFT, SESSION, TabStore } from './tab-store.js';

const REPORT_WINDOW = 120_000;
const REPORT_PATIENCE = 15_000;
const LEAVE_PATIENCE = 3_000;
const FIND_GRACE = 400;
const SILENCE = 10_000;
// So long the refusals of one burst may take to come in.
const REFUSALS_WITHIN = 400;
const LINES_KEPT = 400;

// Refusals that a later try may get past.
const PASSING = new Set(['slow_down', 'bad_seq', 'busy', 'unavailable', 'not_now']);

// Refusals that may be a report's.
const OF_REPORTS = new Set(['unavailable', 'not_now', 'bad_value', 'slow_down']);

export class Session {
  phase = 'idle';
  chat = null;
  consent = false;
  #connection;
  #store;
  #listener;
  #wish = null;
  // The last message to the gateway was `find`, and nothing since has undone it.
  #asked = false;
  // The gateway knows that this socket is in the chat, so numbered frames may go out.
  #attached = false;
  // The resume token of a chat that is over here, while the gateway has not confirmed it.
  #leaving = null;
  #report = null;
  #cancels = 0;
  // Refusals since frames were last sent again, and such rounds without an acknowledgement in between.
  #refusals = 0;
  #fruitless = 0;
  #silences = 0;
  // The connection came to a final end; only a person may begin another.
  #stopped = false;
  #limits = {};
  #pace = new Pace();
  #timers = { find: null, leave: null, repeat: null, pace: null, silence: null };

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
  }

  // === What the page asks for

  // Shows what a reload of the tab interrupted; `revive` then takes it up.
  restore() {
    const stored = this.#store.load(CHAT);
    if (!stored) return;
    this.chat = { ...stored, delivery: new Delivery(stored.delivery) };
    this.phase = stored.ended ? 'ended' : 'chat';
    this.#tell('phase', { restored: true });
  }

  // The token of the session that this tab lives in, if any.
  get held() {
    return this.#store.load(SESSION);
  }

  // What the storage holds is another tab's.
  forget() {
    if (this.phase === 'waiting') return;
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
    this.#wish = wish;
    this.#asked = false;
    this.chat = null;
    this.#store.remove(CHAT);
    this.#enter('waiting');
    this.#connection.open();
    this.#sendFind();
  }

  cancel() {
    if (this.phase !== 'waiting') return;
    if (this.#asked && this.#connection.send({ type: 'cancel' })) this.#cancels += 1;
    this.#asked = false;
    this.#enter('idle');
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
    if (this.phase !== 'chat' || this.chat.delivery.full) return null;
    const frame = this.chat.delivery.push(text);
    const line = { from: 'you', text, seq: frame.seq, state: 'sending', at: Date.now() };
    this.#addLine(line);
    this.#flow();
    return line;
  }

  typing(on) {
    if (this.phase === 'chat' && this.#attached) this.#connection.send({ type: 'typing', on });
  }

  leave() {
    if (this.phase !== 'chat') return;
    this.#leaving = this.chat.resume;
    this.#end({ by: 'you' });
    this.#sendLeave();
  }

  get reportable() {
    if (!this.chat) return false;
    return this.phase === 'chat' || (this.phase === 'ended' && Date.now() - this.chat.endedAt < REPORT_WINDOW);
  }

  // Resolves with the case's number; rejects with an Error whose message can be shown.
  report(reason, comment) {
    this.#settleReport(new Error('Another report took its place.'));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#settleReport(new Error('No answer came. Please try again.')),
        REPORT_PATIENCE,
      );
      const frame = comment ? { type: 'report', reason, comment } : { type: 'report', reason };
      this.#report = { frame, resolve, reject, timer, sent: false };
      this.#connection.open();
      this.#sendReport();
    });
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
    if (this.phase !== 'waiting') return;
    clearTimeout(this.#timers.find);
    this.#connection.send({ type: 'cancel' });
    this.#asked = false;
    this.#connection.close();
  }

  // === The connection

  #hello() {
    const hello = { type: 'hello' };
    const session = this.#store.load(SESSION);
    const resume = this.#leaving ?? (this.phase === 'chat' ? this.chat.resume : null);
    if (session) hello.session = session;
    if (resume) hello.resume = resume;
    if (this.consent) Object.assign(hello, { adult: true, terms: true });
    return hello;
  }

  #needed() {
    return this.phase === 'waiting' || this.phase === 'chat' || this.#leaving !== null || this.#report !== null;
  }

  #link(state, detail) {
    this.#stopped = state === 'stopped';
    if (state !== 'ready') {
      this.#attached = false;
      this.#cancels = 0;
      if (this.#report) this.#report.sent = false;
      clearTimeout(this.#timers.leave);
      clearTimeout(this.#timers.silence);
    }
    if (state === 'stopped') {
      this.#settleReport(new Error('The connection was closed.'));
      this.#leaving = null;
    }
    this.#tell('link', { state, ...detail });
  }

  // === What the gateway says

  #frame(frame) {
    clearTimeout(this.#timers.silence);
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
      stranger: () => this.#stranger(frame.state === 'away'),
      ended: () => this.#ended(frame),
      notice: () => this.#notice(frame),
      reported: () => this.#settleReport(null, frame.case),
      error: () => this.#refused(frame),
    };
    // A frame that this client does not know is for a later one.
    if (Object.hasOwn(handlers, frame.type)) handlers[frame.type]();
  }

  #welcome(frame) {
    this.#remember(frame.session);
    this.#attached = false;
    if (Number.isFinite(frame.online)) this.#tell('online', { online: frame.online });
    this.#limits = limits(frame.limits);
    this.#tell('limits', this.#limits);
    if (this.#limits.unacked && this.chat) this.chat.delivery.window = this.#limits.unacked;
    if (this.phase === 'ended' && !this.#leaving) this.#sendReport();
    if (this.phase !== 'waiting') return;
    if (!this.#asked) return this.#sendFind();
    // The ticket may have outlived the socket; then `waiting` or `matched` follows at once, and a second `find` would
    // only lose its place.
    this.#asked = false;
    this.#findAfter(FIND_GRACE);
  }

  #idle() {
    if (this.#cancels > 0) {
      this.#cancels -= 1;
      return;
    }
    if (this.phase === 'waiting' && this.#asked) this.#findAfter(FIND_GRACE);
  }

  #waiting(frame) {
    if (this.phase !== 'waiting' || this.#cancels > 0) return;
    this.#asked = true;
    clearTimeout(this.#timers.find);
    this.#tell('waiting', { estimate: frame.estimate_ms, widened: frame.widened === true });
  }

  #matched(frame) {
    if (this.phase === 'chat' && frame.chat === this.chat.id) {
      this.chat.resume = frame.resume;
      this.#attached = true;
      this.chat.delivery.refused(Infinity);
      return this.#flow();
    }
    this.#attached = true;
    if (this.phase !== 'waiting') {
      // It crossed with our `cancel`.
      this.#cancels = 0;
      this.#leaving = frame.resume;
      return this.#sendLeave();
    }
    clearTimeout(this.#timers.find);
    this.#asked = false;
    this.#cancels = 0;
    this.#fruitless = 0;
    this.chat = {
      id: frame.chat,
      resume: frame.resume,
      common: texts(frame.common_interests),
      asked: this.#wish.interests.length > 0,
      language: typeof frame.language === 'string' ? frame.language : null,
      question: typeof frame.question === 'string' ? frame.question : null,
      startedAt: Date.now(),
      lines: [],
      away: false,
      ended: null,
      delivery: new Delivery({}, this.#limits.unacked),
    };
    this.draft = '';
    this.#keep();
    this.#enter('chat');
  }

  #numbered(frame) {
    if (this.phase !== 'chat') return;
    const verdict = this.chat.delivery.receive(frame.seq);
    if (verdict === 'gap') return;
    if (verdict === 'new') {
      this.#stranger(false);
      if (frame.type === 'message') {
        this.#tell('typing', { on: false });
        this.#addLine({ from: String(frame.from ?? 'stranger'), text: String(frame.text), at: Date.now() });
      } else {
        this.#keep();
      }
    }
    this.#connection.send({ type: 'ack', seq: this.chat.delivery.seen });
  }

  #acked(seq) {
    if (this.phase === 'chat' && this.#settle(seq)) this.#stranger(false);
  }

  #settle(seq) {
    const settled = this.chat.delivery.acked(seq);
    if (settled.length === 0) return false;
    this.#fruitless = 0;
    this.#silences = 0;
    this.#mark(settled, 'delivered');
    this.#watchSilence();
    return true;
  }

  #strangerTyping(frame) {
    if (this.phase !== 'chat') return;
    if (frame.on === true) this.#stranger(false);
    this.#tell('typing', { on: frame.on === true, from: frame.from });
  }

  #resumed(frame) {
    if (this.#leaving) {
      this.#attached = true;
      return this.#sendLeave();
    }
    if (this.phase !== 'chat' || frame.chat !== this.chat.id) return;
    this.#attached = true;
    // Whether the stranger is there is told by `stranger`, not by this.
    this.#settle(frame.received);
    clearTimeout(this.#timers.repeat);
    this.#timers.repeat = null;
    this.#repeat();
    this.#sendReport();
    this.#tell('resumed');
  }

  #stranger(away) {
    if (this.phase !== 'chat' || this.chat.away === away) return;
    this.chat.away = away;
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
    if (this.phase === 'chat' && frame.chat === this.chat.id) return this.#end(frame);
    this.#left();
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
    if (code === 'resume_failed') return this.#leaving ? this.#left() : this.#end({ by: 'lost' });
    if (this.#isOfReport(code)) this.#settleReport(new Error(text || 'The report was refused.'));
    if (this.#leaving && code === 'not_now') return this.#left();
    if (this.phase === 'chat' && PASSING.has(code)) return this.#repeatAfter(delay, code);
    if (this.phase === 'waiting' && PASSING.has(code)) {
      if (code !== 'not_now') this.#tell('busy');
      // The `idle` that may follow must not make it sooner.
      this.#asked = false;
      return this.#findAfter(delay);
    }
    if (this.phase === 'waiting') this.#turnAway(code, text);
  }

  // === Waiting

  #sendFind() {
    clearTimeout(this.#timers.find);
    if (this.phase !== 'waiting' || this.#leaving) return;
    const { interests, languages, onlyInterests } = this.#wish;
    const find = { type: 'find', mode: 'text', interests: interests.slice(0, this.#limits.interests), languages };
    if (onlyInterests && interests.length > 0) find.only_interests = true;
    this.#asked = this.#connection.send(find);
  }

  #findAfter(delay) {
    clearTimeout(this.#timers.find);
    this.#timers.find = setTimeout(() => this.#sendFind(), delay);
  }

  // The gateway won't have us look for anybody.
  #turnAway(code, text) {
    this.#asked = false;
    if (this.phase === 'chat') this.#end({ by: 'moderation' });
    else if (this.phase === 'waiting') this.#enter('idle');
    if (code === 'consent_required') {
      this.consent = false;
      this.#store.remove(CONSENT);
    }
    this.#tell('refused', { code, text });
  }

  // === Leaving

  #sendLeave() {
    if (!this.#attached || !this.#connection.send({ type: 'leave' })) return;
    clearTimeout(this.#timers.leave);
    this.#timers.leave = setTimeout(() => this.#left(), LEAVE_PATIENCE);
  }

  // The gateway knows that the chat is over, so another may be looked for.
  #left() {
    if (!this.#leaving) return;
    this.#leaving = null;
    clearTimeout(this.#timers.leave);
    this.#sendReport();
    this.#sendFind();
  }

  #end(ended) {
    if (this.phase !== 'chat') return;
    clearTimeout(this.#timers.repeat);
    clearTimeout(this.#timers.pace);
    clearTimeout(this.#timers.silence);
    this.#timers.repeat = null;
    this.#refusals = 0;
    this.#fruitless = 0;
    this.draft = '';
    this.chat.ended = { by: ended.by, reason: ended.reason };
    this.chat.endedAt = Date.now();
    this.chat.away = false;
    const open = this.chat.delivery.unacked.map((frame) => frame.seq);
    this.#tell('typing', { on: false });
    this.#mark(open, 'undelivered');
    this.#keep();
    this.#enter('ended');
  }

  // === Sending, and sending again

  // False while a refused stretch waits for its repeat: what follows it would only be refused too.
  get #flowing() {
    return this.#attached && this.#timers.repeat === null;
  }

  // Sends what was not sent yet, in order, and no faster than the gateway takes it.
  #flow() {
    clearTimeout(this.#timers.pace);
    if (this.phase !== 'chat' || !this.#flowing) return;
    const { delivery } = this.chat;
    const sent = [];
    for (const frame of delivery.unsent()) {
      const wait = this.#pace.take();
      if (wait > 0) {
        this.#timers.pace = setTimeout(() => this.#flow(), wait);
        break;
      }
      if (!this.#connection.send(frame)) break;
      delivery.sent = frame.seq;
      sent.push(frame.seq);
    }
    this.#mark(sent, 'sent');
    this.#watchSilence();
  }

  // The gateway asked for everything that is not acknowledged. Such repeats are free of its rate limit.
  #repeat() {
    this.#refusals = 0;
    for (const frame of this.chat.delivery.repeat()) this.#connection.send(frame);
    this.#flow();
  }

  // A refusal does not name its frame, but the gateway takes no number after one that it refused: so as many refusals
  // as came, so many of the last frames it lacks, and only they are sent again. Nothing goes out in the pause, so that
  // the count is whole at its end. Without an acknowledgement in between the pauses grow, and after a few all of the
  // list is sent, at the usual pace.
  #repeatAfter(delay, code) {
    if (this.chat.delivery.unacked.length === 0) return;
    this.#refusals += 1;
    if (code === 'slow_down') this.#pace.empty();
    if (this.#timers.repeat !== null) return;
    const pause = Math.min(10_000, Math.max(REFUSALS_WITHIN, delay) * 2 ** Math.min(this.#fruitless, 5));
    this.#fruitless += 1;
    clearTimeout(this.#timers.pace);
    this.#timers.repeat = setTimeout(() => {
      this.#timers.repeat = null;
      this.chat.delivery.refused(this.#fruitless > 3 ? Infinity : this.#refusals);
      this.#refusals = 0;
      this.#flow();
    }, pause);
  }

  // A phone that changed networks may hold a socket that is dead without knowing it. If something of ours is out, the
  // stranger is there and nothing at all has come for a while, a new socket is opened beside the old one: ever more
  // rarely, since it may as well be the stranger's socket that is dead.
  #watchSilence() {
    clearTimeout(this.#timers.silence);
    if (!this.#attached || this.chat?.away || !this.chat?.delivery.unacked.length) return;
    this.#timers.silence = setTimeout(() => {
      this.#silences += 1;
      this.#connection.renew();
    }, SILENCE * 2 ** Math.min(this.#silences, 4));
  }

  // === Reports

  #sendReport() {
    const report = this.#report;
    if (!report || report.sent || (this.phase === 'chat' && !this.#attached)) return;
    report.sent = this.#connection.send(report.frame);
  }

  // An error does not name what it refuses. What may be a search's or a message's leaves the report its patience: taken
  // for refused, it would be made twice.
  #isOfReport(code) {
    if (!this.#report?.sent || this.phase === 'waiting' || !OF_REPORTS.has(code)) return false;
    return code !== 'slow_down' || this.phase !== 'chat' || this.chat.delivery.unacked.length === 0;
  }

  #settleReport(error, number) {
    const report = this.#report;
    if (!report) return;
    this.#report = null;
    clearTimeout(report.timer);
    if (error) report.reject(error);
    else report.resolve(String(number));
  }

  // === Lines, phases, storage

  #addLine(line) {
    this.chat.lines.push(line);
    this.#keep();
    this.#tell('line', { line });
  }

  #mark(seqs, state) {
    if (seqs.length === 0) return;
    const settled = new Set(seqs);
    for (const line of this.chat.lines) {
      if (line.from !== 'you' || !settled.has(line.seq) || line.state === state) continue;
      line.state = state;
      this.#tell('mark', { line });
    }
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
    this.#store.save(CHAT, { ...this.chat, lines: this.chat.lines.slice(-LINES_KEPT) });
  }
}

// What of the gateway's limits can be used.
function limits(value) {
  const usable = Object.entries(value ?? {}).filter(([, limit]) => Number.isSafeInteger(limit) && limit > 0);
  return Object.fromEntries(usable);
}

function texts(value) {
  return Array.isArray(value) ? value.filter((text) => typeof text === 'string') : [];
}
