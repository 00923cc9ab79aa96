#!lua flags=allow-oom
-- Takes a ticket out of a shard, and tells the owner that it isn't wanted, which may know it by another entry.
-- KEYS[1] the shard's tickets (stream)
-- ARGV[1] the ticket's entry
-- ARGV[2] the ticket's id
-- Returns 1 if the entry was there, else 0.
local deleted = redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[1], '*', 'w', ARGV[2])
return deleted
