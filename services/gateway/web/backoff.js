// When to try again after a socket was closed: the client's column of the protocol's table of close codes.

const FIRST = 500;
const LONGEST = 10_000;
const UNOPENED = 1_000;

// `{retry: true, delay}` in milliseconds, or `{retry: false, why}` with why ∈ `replaced` `banned` `refused`.
// `attempt` counts the failures since the last welcome; `random` is in [0, 1). A socket that never opened may have been
// refused by a gateway with too much to do (429 and 503 look like 1006 from here), which is then left alone for longer.
export function afterClose(code, attempt, random = Math.random, opened = true) {
  switch (code) {
    case 1012:
      return { retry: true, delay: between(1_000, 5_000, random) };
    case 1013:
      return { retry: true, delay: between(5_000, 30_000, random) };
    case 1003:
    case 1008:
    case 1009:
      return { retry: false, why: 'refused' };
    case 4004:
      return { retry: false, why: 'replaced' };
    default:
      if (code >= 4500 && code <= 4999) return { retry: false, why: 'banned' };
      return { retry: true, delay: jittered(attempt, random) + (opened ? 0 : UNOPENED) };
  }
}

// Exponential with full jitter: a herd that lost its gateway at one moment does not come back at one.
function jittered(attempt, random) {
  return Math.round(random() * Math.min(LONGEST, FIRST * 2 ** Math.min(attempt, 10)));
}

function between(low, high, random) {
  return Math.round(low + random() * (high - low));
}
