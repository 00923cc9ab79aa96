// The start page: what for, interests, languages, consent, and off one goes.

import { Chips } from './chips.js';
import { byId, make, toast } from './elements.js';
import { KindField } from './kind-field.js';
import { LANGUAGES_MOST, languageChoices, preferredLanguages } from './languages.js';
import { INTERESTS, INTEREST_CHARS, addInterests } from './text.js';
import { languageName } from './words.js';

const REFUSED = {
  duplicate: 'That one is there already.',
  long: `An interest has at most ${INTEREST_CHARS} characters.`,
  many: `At most ${INTERESTS} interests.`,
};

export class StartView {
  #settings;
  #save;
  #kind;
  #input = byId('interest-input');
  #select = byId('language-select');
  #interests;
  #languages;

  // `save()` keeps the settings, `tab` what is this tab's own; `start(wish)` begins; `consent` says whether this tab
  // already agreed.
  constructor({ settings, save, tab, start, consent }) {
    this.#settings = settings;
    this.#save = save;
    this.#kind = new KindField(tab);
    this.#settings.languages ??= preferredLanguages(navigator.languages);
    this.#interests = new Chips(byId('interests'), {
      onRemove: (interest) => this.#setInterests(this.#settings.interests.filter((other) => other !== interest)),
      fallback: this.#input,
    });
    this.#languages = new Chips(byId('languages'), {
      onRemove: (tag) => this.#setLanguages(this.#settings.languages.filter((other) => other !== tag)),
      fallback: this.#select,
    });
    byId('adult').checked = consent;
    byId('terms').checked = consent;
    byId('only-interests').checked = settings.onlyInterests;
    this.#wire(start);
    this.#showInterests();
    this.#showLanguages();
    this.#showSections();
  }

  // What `find` asks for.
  wish() {
    const { interests, languages, onlyInterests } = this.#settings;
    return {
      kind: this.#kind.kind,
      question: this.#kind.question,
      interests: interests.slice(0, INTERESTS),
      languages: languages.slice(0, LANGUAGES_MOST),
      onlyInterests,
      section: this.#section,
    };
  }

  // The gateway said what sections it has: none, where there is nothing to choose.
  offerSections(sections) {
    this.#settings.sections = sections;
    this.#save();
    this.#showSections();
  }

  // The one that the page shows as chosen, or null where it shows none.
  get #section() {
    const { sections, section } = this.#settings;
    if (sections.length < 2) return null;
    return sections.includes(section) ? section : sections[0];
  }

  showError(text) {
    byId('start-error').textContent = text;
    byId('start-error').hidden = !text;
  }

  askConsent() {
    byId('adult').checked = false;
    byId('terms').checked = false;
    this.#checkConsent();
  }

  #wire(start) {
    this.#input.addEventListener('keydown', (event) => this.#key(event));
    // On-screen keyboards often report no key, so the comma is looked for in the text; a paste may bring several.
    this.#input.addEventListener('input', (event) => {
      if (!event.isComposing && /[,\uFF0C\u3001\u060C]/.test(this.#input.value)) this.#take();
    });
    byId('interest-box').addEventListener('click', (event) => {
      if (event.target === event.currentTarget) this.#input.focus();
    });
    byId('only-interests').addEventListener('change', (event) => {
      this.#settings.onlyInterests = event.target.checked;
      this.#save();
    });
    byId('section').addEventListener('change', (event) => {
      this.#settings.section = event.target.value;
      this.#save();
    });
    byId('language-add').addEventListener('click', () => this.#addLanguage());
    for (const id of ['adult', 'terms']) {
      byId(id).addEventListener('change', () => {
        if (!byId('consent-error').hidden) this.#checkConsent();
      });
    }
    byId('start-form').addEventListener('submit', (event) => {
      event.preventDefault();
      // What is still in the box counts too. It isn't taken on blur, because a chip that appears between the press and
      // the release of a click moves away what was clicked.
      this.#take();
      if (!this.#kind.check()) return;
      if (!this.#checkConsent()) return (byId('adult').checked ? byId('terms') : byId('adult')).focus();
      this.showError('');
      start(this.wish());
    });
  }

  #key(event) {
    if (event.isComposing) return;
    if (event.key === 'Enter' && this.#input.value.trim() !== '') {
      event.preventDefault();
      this.#take();
    } else if (event.key === 'Backspace' && this.#input.value === '') {
      this.#setInterests(this.#settings.interests.slice(0, -1));
    }
  }

  // Makes chips of what is in the box.
  #take() {
    const typed = this.#input.value;
    if (typed === '') return;
    const { interests, refused } = addInterests(this.#settings.interests, typed);
    this.#input.value = refused === 'long' ? typed.replace(/,\s*$/, '') : '';
    this.#setInterests(interests);
    if (!refused) return;
    toast(REFUSED[refused]);
    if (refused === 'duplicate') this.#interests.nudge(typed.replace(/,\s*$/, '').trim());
  }

  #setInterests(interests) {
    this.#settings.interests = interests;
    this.#save();
    this.#showInterests();
  }

  #showInterests() {
    const { interests } = this.#settings;
    this.#interests.show(interests.map((interest) => ({ value: interest, text: interest })));
    byId('only-row').hidden = interests.length === 0;
    this.#input.placeholder = interests.length === 0 ? 'music, cooking, chess …' : 'and …';
  }

  #addLanguage() {
    const tag = this.#select.value;
    if (!tag) return;
    if (this.#settings.languages.length >= LANGUAGES_MOST) return toast(`At most ${LANGUAGES_MOST} languages.`);
    this.#setLanguages([...this.#settings.languages, tag]);
  }

  #setLanguages(languages) {
    this.#settings.languages = languages;
    this.#save();
    this.#showLanguages();
  }

  #showLanguages() {
    const { languages } = this.#settings;
    this.#languages.show(languages.map((tag) => ({ value: tag, text: languageName(tag), lang: tag })));
    const left = languageChoices().filter(({ tag }) => !languages.includes(tag));
    const options = left.map(({ tag, name }) => make('option', { value: tag, text: name, lang: tag }));
    this.#select.replaceChildren(make('option', { value: '', text: 'Choose a language …' }), ...options);
  }

  #showSections() {
    const { sections } = this.#settings;
    byId('section-field').hidden = this.#section === null;
    byId('section').replaceChildren(...sections.map((name) => make('option', { value: name, text: name })));
    if (this.#section !== null) byId('section').value = this.#section;
  }

  #checkConsent() {
    const missing = ['adult', 'terms'].filter((id) => !byId(id).checked);
    for (const id of ['adult', 'terms']) byId(id).ariaInvalid = String(missing.includes(id));
    const error = byId('consent-error');
    error.hidden = missing.length === 0;
    error.textContent = missing.includes('adult')
      ? 'Stroll is for adults only: please confirm that you are 18 or older, and that you agree to the rules.'
      : 'Please agree to the rules and terms first.';
    return missing.length === 0;
  }
}
