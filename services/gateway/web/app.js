// Wires the page: the session on one side, the views on the other.
//
// Stable names for tests, beside `body[data-phase]` (idle, waiting, chat, ended, again):
//   start    [data-view="start"] #online #choose-chat #choose-ask #choose-discuss (labels of input[name="kind"])
//            #question-input #question-count #question-error #interest-input #interests #only-interests #languages
//            #language-select #language-add #section #adult #terms #consent-error #start #start-error
//            .chip[data-value]
//   chat     [data-view="chat"][data-state="waiting"|"chatting"|"ended"|"asking"] #status #waiting-title #waiting-note
//            #waiting-estimate #question-text #log #opening #common-interests #typing #banner[data-kind] #banner-left #banner-action
//            #message-input #message-hint #send #watching #stop[data-label="Stop"|"Really?"|"New"] #save-log
//            #report-open #block[data-label="Block"|"Really?"] #to-latest
//   message  .message[data-from="you"|"stranger"|"stranger_1"|"stranger_2"|"notice"] .words, of one's own also
//            [data-seq][data-state="sending"|"sent"|"delivered"|"undelivered"]
//   ended    #ended #ended-text #again #countdown #countdown-cancel #home #copy-log #ended-save #ended-report
//   dialogs  #settings-open #settings input[name="theme"] #auto-next #settings-close
//            #report input[name="reason"] #report-comment #report-send #report-error #report-case #report-close
//   #toast

import { Attention } from './attention.js';
import { ChatView } from './chat-view.js';
import { Connection } from './connection.js';
import { byId, toast } from './elements.js';
import { fetchOnline, onlineText } from './online.js';
import { ReportDialog } from './report.js';
import { Session } from './session.js';
import { loadSettings, saveSettings } from './settings.js';
import { StartView } from './start-view.js';
import { isCopy } from './tab-claim.js';
import { TabStore } from './tab-store.js';
import { applyTheme } from './theme.js';
import { company, speaker, waitingTitle } from './words.js';

const ONLINE_EVERY = 30_000;

const settings = loadSettings();
const save = () => saveSettings(settings);
const attention = new Attention();

const session = new Session({
  connect: (handlers) => new Connection({ url: new URL('/v1/ws', location.href.replace(/^http/, 'ws')).href, ...handlers }),
  storage: tabStorage(),
  listener: (event) => HANDLERS[event.type]?.(event),
});

const start = new StartView({
  settings,
  save,
  tab: new TabStore(tabStorage()),
  consent: session.consent,
  start: (wish) => {
    session.agree();
    session.find(wish);
  },
});

const chat = new ChatView({
  session,
  settings,
  actions: {
    wish: () => start.wish(),
    next: () => session.find(start.wish()),
    home: () => session.home(),
    report: () => report.open(),
  },
});

const report = new ReportDialog(session);

// === What the session tells

const HANDLERS = {
  phase: ({ restored }) => enter(session.phase, { restored }),
  waiting: (news) => chat.waiting(news),
  busy: () => chat.waiting({ busy: true }),
  line: ({ line }) => {
    chat.line(line);
    if (line.from !== 'you') attention.call(line.from === 'notice' ? 'A notice' : `${speaker(line.from)} wrote`);
  },
  mark: ({ line }) => chat.mark(line),
  typing: ({ on, from }) => chat.typing(on, from),
  stranger: () => chat.stranger(),
  link: (link) => chat.link(link),
  resumed: () => chat.resumed(),
  limits: (limits) => chat.limits(limits),
  sections: ({ sections }) => start.offerSections(sections),
  online: ({ online }) => showOnline(online),
  notice: ({ text }) => toast(text, 12_000),
  refused: ({ code, text }) => refused(code, text),
};

const TITLES = {
  idle: () => 'Stroll: meet a stranger',
  waiting: () => `${waitingTitle(start.wish())} · Stroll`,
  chat: () => `${company(session.chat)} · Stroll`,
  ended: () => 'The chat is over · Stroll',
  again: () => 'Asking to meet again … · Stroll',
};

function enter(phase, { restored = false }) {
  const before = document.body.dataset.phase;
  document.body.dataset.phase = phase;
  document.querySelector('[data-view="start"]').hidden = phase !== 'idle';
  chat.enter(phase, { restored });
  byId('online').hidden = phase !== 'idle' || byId('online').textContent === '';
  attention.rest(TITLES[phase]());
  if (phase === 'chat' && !restored) attention.call(session.watching ? 'Two strangers are here' : 'A stranger is here');
  const over = phase === 'ended' && before === 'chat' && session.chat.ended.by !== 'you';
  if (over && !restored) attention.call('The chat is over');
  if (phase !== 'idle') return;
  scrollTo(0, 0);
  if (before === 'waiting') byId('status').textContent = 'The search was cancelled.';
  if (before !== 'idle') byId('start').focus({ preventScroll: true });
  refreshOnline();
}

function refused(code, text) {
  if (code === 'consent_required') return start.askConsent();
  start.showError(code === 'banned' ? 'You have been banned from Stroll.' : text || 'The search was refused.');
}

// === Keys

document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || event.repeat || event.isComposing) return;
  // There Esc closes the dialog, and nothing else.
  if (document.querySelector('dialog[open]') || document.body.dataset.phase === 'idle') return;
  event.preventDefault();
  if (event.shiftKey || event.altKey || event.metaKey) chat.skip();
  else chat.step();
});

// === Settings

byId('settings-open').addEventListener('click', () => byId('settings').showModal());
byId('auto-next').checked = settings.autoNext;
byId('auto-next').addEventListener('change', (event) => {
  settings.autoNext = event.target.checked;
  if (!settings.autoNext) chat.stay();
  save();
});
for (const radio of document.querySelectorAll('input[name="theme"]')) {
  radio.checked = radio.value === settings.theme;
  radio.addEventListener('change', () => {
    settings.theme = radio.value;
    applyTheme(settings.theme);
    save();
  });
}

// === How many are here

function showOnline(count) {
  const text = onlineText(count);
  byId('online').textContent = text;
  byId('online').hidden = text === '' || document.body.dataset.phase !== 'idle';
}

async function refreshOnline() {
  if (document.body.dataset.phase !== 'idle' || document.hidden) return;
  const count = await fetchOnline();
  if (Number.isFinite(count)) showOnline(count);
}

setInterval(refreshOnline, ONLINE_EVERY);
document.addEventListener('visibilitychange', refreshOnline);

// === The browser around

window.addEventListener('online', () => session.revive());
window.addEventListener('pagehide', () => session.goodbye());
// Taken out of the back-forward cache, the page goes on where it was left, but its socket is gone.
window.addEventListener('pageshow', (event) => {
  if (event.persisted) session.revive();
});

// iOS lays its keyboard over the page without making the page smaller. Magnified, the page stays as it is.
function fitKeyboard() {
  const { height, scale } = visualViewport;
  document.documentElement.style.setProperty('--visible', `${Math.round(height * scale)}px`);
}

// It also pushes the top of the page out of sight, which in a chat is not needed: all of it fits.
function keepTop() {
  const { offsetTop, scale } = visualViewport;
  if (offsetTop <= 0 || scale > 1.01 || document.body.dataset.phase === 'idle') return;
  if (!document.querySelector('dialog[open]')) scrollTo(0, 0);
}
if (window.visualViewport) {
  visualViewport.addEventListener('resize', fitKeyboard);
  visualViewport.addEventListener('scroll', keepTop);
  fitKeyboard();
}

// Each tab is a stranger of its own.
function tabStorage() {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

session.restore();
isCopy(() => session.held).then((copy) => {
  if (copy) session.forget();
  else session.revive();
});
refreshOnline();
