#!lua flags=allow-oom
-- The last shard of each pool is closed: there is one less.
-- KEYS[1] how many shards of each pool may hold tickets (string)
-- ARGV[1] how many there were
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DECR', KEYS[1])
end
