// What the page says in more than one place.

export const REASONS = [
  ['nudity', 'Nudity or sexual content'],
  ['minor', 'Seems to be under 18'],
  ['harassment', 'Harassment or bullying'],
  ['hate', 'Hate against a group of people'],
  ['threat', 'Threats or violence'],
  ['spam', 'Spam, advertising or a bot'],
  ['self_harm', 'Somebody may hurt themselves'],
  ['other', 'Something else'],
];

const ENDED = {
  you: 'You ended the chat.',
  stranger: 'Your stranger has left.',
  away: 'The chat ended: a connection was lost for too long.',
  moderation: 'This chat was ended by moderation.',
  error: 'The chat broke off because of a fault on our side.',
  lost: 'The connection to this chat was lost.',
};

// What moderation ends a chat for, by its own codes and by those of reports.
const ENDED_FOR = {
  spam_link: 'links that look like advertising',
  phone_number: 'phone numbers',
  hate: 'hate against a group of people',
  sexual: 'sexual messages',
  minor: 'somebody seems to be under 18',
  nudity: 'nudity or sexual content',
  harassment: 'harassment or bullying',
  threat: 'threats or violence',
  spam: 'spam or advertising',
  self_harm: 'somebody may hurt themselves',
};

// To the one who watched, the strangers are two.
const WATCHED = {
  you: 'You stopped watching.',
  stranger: 'One of the two has left.',
};

export function endedText({ by, reason, blocked }, role = 'stranger') {
  if (blocked) return 'You ended the chat and blocked this stranger.';
  const text = (role === 'spy' ? WATCHED[by] : null) ?? ENDED[by] ?? 'The chat is over.';
  return by === 'moderation' && reason ? `${text} Reason: ${ENDED_FOR[reason] ?? reason.replaceAll('_', ' ')}.` : text;
}

// `stranger`, or `stranger_1` and `stranger_2` to a spy.
export function speaker(from) {
  if (from === 'you') return 'You';
  const seat = /^stranger_(\d)$/.exec(from);
  return seat ? `Stranger ${seat[1]}` : 'Stranger';
}

const quoted = (locale) => new Intl.ListFormat(locale, { type: 'conjunction' });

export function listed(words) {
  return quoted('en').format(words);
}

export function either(words) {
  return new Intl.ListFormat('en', { type: 'disjunction' }).format(words);
}

export function languageName(tag) {
  try {
    const name = new Intl.DisplayNames([tag], { type: 'language' }).of(tag) ?? tag;
    return name.charAt(0).toLocaleUpperCase(tag) + name.slice(1);
  } catch {
    return tag;
  }
}

// Whom one is with.
export function company({ role, met }) {
  if (role === 'spy') return 'Watching two strangers';
  return met ? 'Talking with the same stranger' : 'Talking with a stranger';
}

// That somebody lost the connection. How long is left for them to come back is shown beside it, where it is known.
export function awayText({ role, awayUntil }) {
  const who = role === 'spy' ? 'One of the two' : 'Your stranger';
  return `${who} lost the connection. Waiting ${awayUntil === null ? 'for them to come back ' : ''}…`;
}

export function backText({ role }) {
  return role === 'spy' ? 'They are back.' : 'Your stranger is back.';
}

// The line at the top of a chat.
export function greeting({ role, kind, question, met, common, language, asked }) {
  if (role === 'spy') return 'Two strangers discuss your question. You read along.';
  if (question) return 'Somebody asked the two of you a question, and may be reading along.';
  if (met) return 'You meet again: this is the stranger from before.';
  if (kind === 'discuss') return 'No question came, so here is somebody to chat with.';
  if (common.length > 0) return `You both like ${listed(common)}.`;
  if (asked) return 'Nobody who shares your interests was around, so here is somebody else.';
  return language ? `You both speak ${languageName(language)}.` : 'You’re chatting with a random stranger. Say hi!';
}

// How long a search usually takes; nothing where that is not known. No closer than it deserves.
export function usually(milliseconds) {
  if (!Number.isFinite(milliseconds) || milliseconds <= 0) return '';
  const seconds = Math.round(milliseconds / 1_000);
  if (seconds < 2) return 'Usually only a moment';
  if (seconds < 10) return `Usually about ${seconds} seconds`;
  if (seconds < 55) return `Usually about ${5 * Math.round(seconds / 5)} seconds`;
  const minutes = Math.round(seconds / 60);
  return minutes === 1 ? 'Usually about a minute' : `Usually about ${minutes} minutes`;
}

// What one waits for, and what is done about it. `news` may say that the search was widened, or that all is busy.
export function waitingTitle({ kind }, { widened = false } = {}) {
  if (kind === 'ask') return 'Looking for two strangers …';
  return kind === 'discuss' && !widened ? 'Waiting for a question …' : 'Looking for a stranger …';
}

export function waitingNote(wish, { widened = false, busy = false } = {}) {
  const { kind, question, interests, languages, onlyInterests } = wish;
  const speaks = languages.length > 0 ? ` who speaks ${either(languages.map(languageName))}` : '';
  if (busy) return 'Stroll is very busy at the moment. We keep trying.';
  if (kind === 'ask') return `They will discuss your question: “${question}”`;
  if (kind === 'discuss' && widened) return 'No question came; meeting anybody now.';
  if (kind === 'discuss') return 'You will discuss it with a stranger. If none comes for a while, you meet anybody.';
  if (widened) return `Looking beyond your interests now, for anybody${speaks}.`;
  if (interests.length === 0) return `Picking somebody at random${speaks}.`;
  const likes = `somebody who likes ${either(interests)}`;
  if (onlyInterests) return `We look for ${likes}, however long it takes.`;
  return `For a moment we look for ${likes}, then for anybody${speaks}.`;
}
