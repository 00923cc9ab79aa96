#!lua flags=allow-oom
-- Gives a chat its next home, unless it has one that is newer than the one that was lost.
-- KEYS[1] the chat's home: epoch and relay, with a blank between (string with a time to live)
-- ARGV[1] the epoch of the home that was lost
-- ARGV[2] the relay that is proposed
-- ARGV[3] how long the home is remembered, in milliseconds
-- Returns the home that the chat has now, in the same form.
local home = redis.call('GET', KEYS[1])
if home and tonumber(string.match(home, '^%d+')) > tonumber(ARGV[1]) then
  return home
end
home = string.format('%.0f %s', tonumber(ARGV[1]) + 1, ARGV[2])
redis.call('SET', KEYS[1], home, 'PX', ARGV[3])
return home
