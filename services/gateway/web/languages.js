// The languages a person can choose, each written in itself.

import { languageName } from './words.js';

export const LANGUAGES_MOST = 5;

const TAGS = `af am ar az be bg bn bs ca cs cy da de el en es et eu fa fi fil fr ga gl gu he hi hr hu hy id is it ja ka
  kk km kn ko ky lo lt lv mk ml mn mr ms my nb ne nl pa pl ps pt ro ru sd si sk sl so sq sr sv sw ta te th tr uk ur uz
  vi yo zh zu`.split(/\s+/);

// Sorted by name, as `{tag, name}`.
export function languageChoices() {
  const choices = TAGS.map((tag) => ({ tag, name: languageName(tag) }));
  return choices.sort((one, other) => one.name.localeCompare(other.name));
}

// What the browser prefers, without regions: people from Zürich and Berlin should find each other.
export function preferredLanguages(preferred) {
  const tags = [];
  for (const locale of preferred ?? []) {
    const tag = primary(locale);
    if (tag && !tags.includes(tag)) tags.push(tag);
  }
  return tags.slice(0, LANGUAGES_MOST);
}

function primary(locale) {
  try {
    const { language } = new Intl.Locale(locale);
    return language === 'no' ? 'nb' : language;
  } catch {
    return null;
  }
}
