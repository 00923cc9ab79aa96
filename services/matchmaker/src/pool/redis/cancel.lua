#!lua flags=allow-oom
-- Takes a ticket out of a shard, and tells the owner by an entry if it was still there.
-- KEYS[1] the shard's tickets (stream)
-- ARGV[1] the ticket's entry
-- Returns 1 if it was there, else 0.
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('XADD', KEYS[1], '*', 'c', ARGV[1])
return 1
