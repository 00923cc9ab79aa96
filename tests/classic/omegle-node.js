// Plays npm's omegle-node, unchanged: does what it is told line by line, and tells what happens, each on a line that begins with "> ".
'use strict';

const readline = require('node:readline');
const Omegle = require('omegle-node');

const topics = process.argv.slice(2);
const omegle = new Omegle();
const tell = (...words) => console.log(['>', ...words].join(' '));

for (const event of ['waiting', 'connected', 'typing', 'stoppedTyping', 'strangerDisconnected', 'disconnected',
  'connectionDied', 'antinudeBanned', 'recaptchaRequired']) {
  omegle.on(event, () => tell(event));
}
omegle.on('gotMessage', (text) => tell('gotMessage', text));
omegle.on('commonLikes', (likes) => tell('commonLikes', likes.join(',')));
omegle.on('omerror', (error) => tell('omerror', error));
omegle.on('omegleError', (error) => tell('omegleError', error));
omegle.once('gotID', (id) => tell(/^central[0-9]{1,3}:[a-z0-9]{30}$/.test(id) ? 'gotID' : `a strange id: ${id}`));
omegle.once('serverUpdated', (server) => tell('serverUpdated', server));

const commands = {
  // A server is looked for before, and the answer comes while the session starts; so it is looked for here first.
  look: () => omegle.updateServer(),
  connect: () => omegle.connect(topics.length > 0 ? topics : undefined),
  typing: () => omegle.startTyping(),
  stop: () => omegle.stopTyping(),
  send: (text) => omegle.send(text),
  likes: () => omegle.stopLookingForCommonLikes((answer) => tell('stopped looking:', answer)),
  disconnect: () => omegle.disconnect(),
  end: () => process.exit(0),
};

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [name, ...words] = line.split(' ');
  commands[name](words.join(' '));
});
