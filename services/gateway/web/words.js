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

export function endedText({ by, reason }) {
  const text = ENDED[by] ?? 'The chat is over.';
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

// The line at the top of a chat.
export function greeting({ common, language, asked }) {
  if (common.length > 0) return `You both like ${listed(common)}.`;
  if (asked) return 'Nobody who shares your interests was around, so here is somebody else.';
  return language ? `You both speak ${languageName(language)}.` : 'You’re chatting with a random stranger. Say hi!';
}
