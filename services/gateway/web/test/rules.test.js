import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { afterClose } from '../backoff.js';
import { preferredLanguages } from '../languages.js';
import { logName, logText } from '../log.js';
import { onlineText } from '../online.js';
import { loadSettings, saveSettings } from '../settings.js';
import { StopButton } from '../stop.js';
import { addInterests, charCount, lineText, messageText } from '../text.js';
import { Typing } from '../typing.js';
import { company, endedText, greeting, speaker, usually, waitingNote, waitingTitle } from '../words.js';

test('close codes: what is tried again, and when', () => {
  const low = () => 0;
  const high = () => 0.999999;
  assert.deepEqual(afterClose(1012, 0, low), { retry: true, delay: 1_000 });
  assert.deepEqual(afterClose(1012, 9, high), { retry: true, delay: 5_000 });
  assert.deepEqual(afterClose(1013, 0, low), { retry: true, delay: 5_000 });
  assert.deepEqual(afterClose(1013, 0, high), { retry: true, delay: 30_000 });
  for (const code of [1003, 1008, 1009]) assert.deepEqual(afterClose(code, 0), { retry: false, why: 'refused' });
  assert.deepEqual(afterClose(4004, 0), { retry: false, why: 'replaced' });
  assert.deepEqual(afterClose(4501, 0), { retry: false, why: 'banned' });
  for (const code of [1001, 1006, 4001, 4002, 4003, 4444]) {
    const delays = [0, 1, 2, 3, 4, 5, 60].map((attempt) => afterClose(code, attempt, high).delay);
    assert.deepEqual(delays, [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    assert.equal(afterClose(code, 3, low).delay, 0);
  }
});

test('the button steps Stop, Really?, New', () => {
  const button = new StopButton();
  button.enter('chat');
  assert.equal(button.label, 'Stop');
  assert.equal(button.step(), null);
  assert.equal(button.label, 'Really?');
  button.relent();
  assert.equal(button.label, 'Stop');
  button.step();
  assert.equal(button.step(), 'leave');
  button.enter('ended');
  assert.equal(button.label, 'New');
  assert.equal(button.step(), 'find');
  button.enter('waiting');
  assert.equal(button.label, 'Stop');
  assert.equal(button.step(), 'cancel');
  button.enter('again');
  assert.equal(button.label, 'Stop');
  assert.equal(button.step(), 'cancel');
  button.enter('idle');
  assert.equal(button.step(), null);
});

test('typing: on with the first key, off after five quiet seconds, cleared by sending', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const told = [];
  const typing = new Typing((on) => told.push(on));
  typing.changed('h');
  mock.timers.tick(4_900);
  typing.changed('he');
  mock.timers.tick(4_900);
  assert.deepEqual(told, [true]);
  mock.timers.tick(200);
  assert.deepEqual(told, [true, false]);
  typing.changed('hey');
  typing.clear();
  mock.timers.tick(10_000);
  assert.deepEqual(told, [true, false, true]);
  typing.changed('x');
  typing.changed('');
  assert.deepEqual(told, [true, false, true, true, false]);
  mock.timers.reset();
});

test('interests: commas, duplicates, limits', () => {
  assert.deepEqual(addInterests([], ' jazz ,  long   walks,,Jazz').interests, ['jazz', 'long walks']);
  assert.equal(addInterests(['Jazz'], 'jAZZ').refused, 'duplicate');
  assert.equal(addInterests([], 'x'.repeat(65)).refused, 'long');
  assert.deepEqual(addInterests([], '🎷'.repeat(64)).interests, ['🎷'.repeat(64)]);
  const ten = [...'abcdefghij'];
  assert.deepEqual(addInterests(ten, 'k'), { interests: ten, refused: 'many' });
});

test('a message is trimmed of blank lines, keeps its indentation, and is well-formed', () => {
  assert.equal(messageText('\n \n  hi\n there \n\n'), '  hi\n there');
  assert.equal(messageText(' \n\t'), '');
  assert.equal(messageText('a\uD83Cb 🎷'), 'a\uFFFDb 🎷');
  assert.equal(charCount('🎷é'), 2);
});

test('online: exact below a thousand, then floored', () => {
  assert.equal(onlineText(7), '7 online now');
  assert.equal(onlineText(999), '999 online now');
  assert.equal(onlineText(45_148), '45,000+ online now');
  assert.equal(onlineText(undefined), '');
});

test('languages: without regions, each once, five at most', () => {
  assert.deepEqual(preferredLanguages(['de-CH', 'de', 'en-GB', 'no', '!', 'fr', 'it', 'es']), ['de', 'en', 'nb', 'fr', 'it']);
  assert.deepEqual(preferredLanguages(undefined), []);
});

test('settings survive, and nonsense is ignored', () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  saveSettings({ ...loadSettings(storage), interests: ['jazz'], theme: 'dark' }, storage);
  assert.deepEqual(loadSettings(storage).interests, ['jazz']);
  assert.equal(loadSettings(storage).theme, 'dark');
  kept.set('stroll.settings', '{"theme":"pink","interests":[1],"autoNext":true}');
  assert.deepEqual(loadSettings(storage), {
    interests: [],
    languages: null,
    onlyInterests: false,
    sections: [],
    section: null,
    autoNext: true,
    theme: 'auto',
  });
  assert.equal(loadSettings(null).theme, 'auto');
});

test('the log tells who said what, and nobody can forge a line in it', () => {
  const chat = {
    common: ['jazz', 'tea'],
    startedAt: new Date(2024, 1, 3, 4, 5).getTime(),
    lines: [
      { from: 'you', text: 'hello', state: 'delivered' },
      { from: 'stranger', text: 'hi\nYou: I owe you' },
      { from: 'you', text: 'gone?', state: 'undelivered' },
    ],
    ended: { by: 'stranger' },
  };
  assert.equal(logText(chat), `Stroll: a chat with a stranger, 2024-02-03 04:05
You both like jazz and tea.

You: hello
Stranger: hi
    You: I owe you
You (not delivered): gone?

Your stranger has left.
`);
  assert.equal(logName(chat), 'stroll-2024-02-03-0405.txt');
});

test('words', () => {
  assert.equal(speaker('stranger_2'), 'Stranger 2');
  assert.equal(endedText({ by: 'moderation', reason: 'spam_link' }), 'This chat was ended by moderation. Reason: links that look like advertising.');
  assert.equal(endedText({ by: 'moderation', reason: 'new_code' }), 'This chat was ended by moderation. Reason: new code.');
  assert.equal(endedText({ by: 'something new' }), 'The chat is over.');
  assert.equal(greeting({ common: [], asked: false, language: 'de' }), 'You both speak Deutsch.');
});

test('to one who watches the strangers are two, in words and in the log', () => {
  const chat = {
    role: 'spy',
    kind: 'ask',
    question: 'Tea or coffee?',
    common: [],
    startedAt: new Date(2024, 1, 3, 4, 5).getTime(),
    lines: [
      { from: 'stranger_1', text: 'tea' },
      { from: 'stranger_2', text: 'neither' },
    ],
    ended: { by: 'stranger' },
  };
  assert.equal(company(chat), 'Watching two strangers');
  assert.equal(logText(chat), `Stroll: a chat between two strangers, 2024-02-03 04:05
Two strangers discuss your question. You read along.
Question to discuss: Tea or coffee?

Stranger 1: tea
Stranger 2: neither

One of the two has left.
`);
  assert.equal(endedText({ by: 'you' }, 'spy'), 'You stopped watching.');
  assert.equal(endedText({ by: 'away' }, 'spy'), endedText({ by: 'away' }));
});

test('how a chat begins is told by what led to it', () => {
  const chat = { role: 'stranger', kind: 'chat', common: [], asked: false, language: null };
  assert.match(greeting({ ...chat, kind: 'discuss' }), /^No question came/);
  assert.match(greeting({ ...chat, kind: 'discuss', question: 'Tea or coffee?' }), /may be reading along/);
  assert.match(greeting({ ...chat, met: true }), /^You meet again/);
  assert.equal(company({ ...chat, met: true }), 'Talking with the same stranger');
  assert.match(endedText({ by: 'you', blocked: true }), /blocked/);
});

test('the usual wait is told no closer than it deserves, and not at all if it is not known', () => {
  const told = [800, 3_200, 21_000, 57_000, 100_000, 600_000].map(usually);
  const times = ['only a moment', 'about 3 seconds', 'about 20 seconds', 'about a minute', 'about 2 minutes', 'about 10 minutes'];
  assert.deepEqual(told, times.map((time) => `Usually ${time}`));
  for (const unknown of [undefined, null, NaN, 0, -5]) assert.equal(usually(unknown), '');
});

test('a wait says for whom, and when the search goes further', () => {
  const wish = { kind: 'chat', question: '', interests: ['jazz'], languages: [], onlyInterests: false };
  assert.equal(waitingNote(wish), 'For a moment we look for somebody who likes jazz, then for anybody.');
  assert.equal(waitingNote(wish, { widened: true }), 'Looking beyond your interests now, for anybody.');
  const discuss = { ...wish, kind: 'discuss' };
  assert.equal(waitingTitle(discuss), 'Waiting for a question …');
  assert.equal(waitingTitle(discuss, { widened: true }), 'Looking for a stranger …');
  assert.equal(waitingNote(discuss, { widened: true }), 'No question came; meeting anybody now.');
  assert.match(waitingNote({ ...wish, kind: 'ask', question: 'Tea or coffee?' }), /“Tea or coffee\?”/);
});

test('a question is one line', () => {
  assert.equal(lineText('  Tea\n or   coffee? \n'), 'Tea or coffee?');
});
