// What counts as a message, as an interest and as a question.
//
// Lengths are in Unicode scalar values, as the gateway counts them, not in UTF-16 units.

export const MESSAGE_CHARS = 2_000;
export const INTEREST_CHARS = 64;
export const INTERESTS = 10;
export const QUESTION_LEAST = 10;
export const QUESTION_MOST = 200;

export function charCount(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

// The text as it is sent. Blank lines around it go, indentation stays; half of a surrogate pair, which a cut-off paste
// can leave and JSON cannot carry, becomes U+FFFD.
export function messageText(typed) {
  const text = typed.replace(/^(?:[^\S\n]*\n)+/, '').trimEnd();
  return text.replace(/[\uD800-\uDBFF][\uDC00-\uDFFF]|[\uD800-\uDFFF]/g, (pair) => (pair.length === 2 ? pair : '\uFFFD'));
}

// An interest or a question: one line, without the blanks that nobody means, or '' if nothing is left.
export function lineText(typed) {
  return messageText(typed).replace(/\s+/g, ' ').trim();
}

// Adds what was typed or pasted (several, with commas or lines between them) to a list of interests. Returns the new
// list and why the last one that was refused was: `duplicate`, `long`, `many` or null.
export function addInterests(list, typed) {
  const interests = list.slice();
  let refused = null;
  for (const part of typed.split(/[,\n\uFF0C\u3001\u060C]/)) {
    const interest = lineText(part);
    if (interest === '') continue;
    if (charCount(interest) > INTEREST_CHARS) refused = 'long';
    else if (interests.some((other) => other.toLowerCase() === interest.toLowerCase())) refused = 'duplicate';
    else if (interests.length >= INTERESTS) refused = 'many';
    else interests.push(interest);
  }
  return { interests, refused };
}
