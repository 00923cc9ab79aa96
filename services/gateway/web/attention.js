// Catches the eye of somebody who looks elsewhere: the tab's title and icon change until the window has focus again.

const TICK = 1_200;

export class Attention {
  #title = document.title;
  #icon = document.querySelector('link[rel="icon"]');
  #timer = null;
  #unread = 0;

  constructor() {
    window.addEventListener('focus', () => this.clear());
    document.addEventListener('visibilitychange', () => {
      if (document.hasFocus()) this.clear();
    });
  }

  // The title to go back to.
  rest(title) {
    this.#title = title;
    if (!this.#unread) document.title = title;
  }

  call(text) {
    if (document.hasFocus()) return;
    this.#unread += 1;
    clearInterval(this.#timer);
    const news = `(${this.#unread}) ${text}`;
    this.#show(news, './icon-unread.svg');
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    let lit = true;
    this.#timer = setInterval(() => {
      lit = !lit;
      this.#show(lit ? news : this.#title, lit ? './icon-unread.svg' : './icon.svg');
    }, TICK);
  }

  clear() {
    clearInterval(this.#timer);
    this.#unread = 0;
    this.#show(this.#title, './icon.svg');
  }

  #show(title, icon) {
    document.title = title;
    this.#icon.href = icon;
  }
}
