// A duplicated tab gets a copy of the first one's storage, and would take its chat from it. So a tab that finds a
// session in its storage first asks the other tabs whether one of them lives in it.

const PATIENCE = 100;

// Resolves to true when another live tab holds the session that `held()` returns, and from then on answers for it.
export async function isCopy(held, Channel = globalThis.BroadcastChannel) {
  if (!Channel) return false;
  const channel = new Channel('stroll-tab');
  const session = held();
  let copy = false;
  if (session) {
    await new Promise((resolve) => {
      channel.onmessage = ({ data }) => {
        if (data?.held !== session) return;
        copy = true;
        resolve();
      };
      channel.postMessage({ asked: session });
      setTimeout(resolve, PATIENCE);
    });
  }
  channel.onmessage = ({ data }) => {
    if (data?.asked && data.asked === held()) channel.postMessage({ held: data.asked });
  };
  return copy;
}
