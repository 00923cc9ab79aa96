#!lua flags=allow-oom
-- A shard of a pool is closed: if it was the last, there is one less.
-- KEYS[1] how many shards of the pool may hold tickets (string)
-- ARGV[1] how many there are if it is the last
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DECR', KEYS[1])
end
