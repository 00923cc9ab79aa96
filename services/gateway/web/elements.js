// Small helpers for making elements. Text only ever becomes a text node, never markup.

export const byId = (id) => document.getElementById(id);

export function make(tag, { text, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

// One of the symbols of the sprite in index.html. It says nothing by itself.
export function symbol(id, className = '') {
  const namespace = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(namespace, 'svg');
  const use = document.createElementNS(namespace, 'use');
  use.setAttribute('href', `#${id}`);
  svg.append(use);
  svg.setAttribute('class', className);
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('focusable', 'false');
  return svg;
}

// A print of a shoe, in its own box.
export function print() {
  const svg = symbol('print');
  svg.setAttribute('viewBox', '-1 -1 18 32');
  return svg;
}

let toastTimer = null;

// A short word about something that was just done, seen and read out wherever one is. Returns what takes it away early.
export function toast(text, milliseconds = 5_000) {
  const element = byId('toast');
  element.hidden = false;
  element.textContent = text;
  const hide = () => {
    if (element.textContent === text) element.hidden = true;
  };
  clearTimeout(toastTimer);
  toastTimer = setTimeout(hide, milliseconds);
  return hide;
}
