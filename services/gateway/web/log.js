// The log of a chat as plain text, made and kept here only: nothing is uploaded to save it.

import { endedText, greeting, speaker } from './words.js';

export function logText(chat) {
  const between = chat.role === 'spy' ? 'a chat between two strangers' : 'a chat with a stranger';
  const lines = [`Stroll: ${between}, ${stamp(chat.startedAt)}`, greeting(chat)];
  if (chat.question) lines.push(`Question to discuss: ${chat.question}`);
  lines.push('');
  for (const line of chat.lines) lines.push(spoken(line));
  if (chat.ended) lines.push('', endedText(chat.ended, chat.role));
  return `${lines.join('\n')}\n`;
}

// Later lines of one message are indented, so that nobody can write a line which looks like the other's.
function spoken({ from, text, state }) {
  const who = from === 'notice' ? 'Notice' : speaker(from);
  const note = state === 'undelivered' ? ' (not delivered)' : '';
  return `${who}${note}: ${text.replaceAll('\n', '\n    ')}`;
}

export function logName(chat) {
  return `stroll-${stamp(chat.startedAt).replace(' ', '-').replace(':', '')}.txt`;
}

function stamp(time) {
  const date = new Date(time);
  const two = (number) => String(number).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

export function saveLog(chat) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([logText(chat)], { type: 'text/plain;charset=utf-8' }));
  link.download = logName(chat);
  link.click();
  // The browser reads the blob after the click returned.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export async function copyLog(chat) {
  await navigator.clipboard.writeText(logText(chat));
}
