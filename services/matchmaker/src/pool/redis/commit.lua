#!lua flags=allow-oom
-- Commits a batch of pairings: each takes its tickets out and puts its news into the pairs stream, if all its tickets
-- are still there; else it changes nothing.
-- KEYS[1] the shard's last epoch (string)
-- KEYS[2] the shard's tickets (stream)
-- KEYS[3] the shard's pairs (stream)
-- ARGV[1] the committer's epoch
-- ARGV[2] how many entries are of no further use; they follow, and are deleted
-- then for each pairing: how many tickets it takes, their entries; how many fields its news has, the fields
-- Returns nil if the epoch is not the last; else a number per pairing: 0 if it was committed, else the sum of
-- 2^(n-1) over its tickets n that were gone.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return false
end
local at = 2
local function next_list()
  local list, last = {}, at + tonumber(ARGV[at])
  for from = at + 1, last do
    list[#list + 1] = ARGV[from]
  end
  at = last + 1
  return list
end
for _, entry in ipairs(next_list()) do
  redis.call('XDEL', KEYS[2], entry)
end
local outcomes = {}
while at <= #ARGV do
  local tickets, news = next_list(), next_list()
  local gone = 0
  for n, entry in ipairs(tickets) do
    if #redis.call('XRANGE', KEYS[2], entry, entry) == 0 then
      gone = gone + 2 ^ (n - 1)
    end
  end
  if gone == 0 then
    -- In this order, so that where memory is full there is a little more of it for the news.
    redis.call('XDEL', KEYS[2], unpack(tickets))
    redis.call('XADD', KEYS[3], '*', unpack(news))
  end
  outcomes[#outcomes + 1] = gone
end
return outcomes
