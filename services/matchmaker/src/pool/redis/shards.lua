#!lua flags=allow-oom
-- Raises how many shards of a pool may hold tickets.
-- KEYS[1] how many (string)
-- ARGV[1] how many there are at least
-- Returns how many there are.
local shards = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1]))
redis.call('SET', KEYS[1], shards)
return shards
