// What a reload of the tab must not lose: the tab's own storage, which no other tab sees and which goes with the tab.

export const CHAT = 'stroll.chat';
export const SESSION = 'stroll.session';
export const DRAFT = 'stroll.draft';
export const CONSENT = 'stroll.consent';
export const KIND = 'stroll.kind';

export class TabStore {
  #storage;

  constructor(storage) {
    this.#storage = storage;
  }

  load(key) {
    try {
      return JSON.parse(this.#storage.getItem(key));
    } catch {
      return null;
    }
  }

  // Without storage, or with a full one, a reload loses the chat, and nothing else.
  save(key, value) {
    try {
      this.#storage.setItem(key, JSON.stringify(value));
    } catch {
      this.remove(key);
    }
  }

  remove(key) {
    try {
      this.#storage.removeItem(key);
    } catch {
      // As above.
    }
  }
}
