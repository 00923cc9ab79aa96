#!lua flags=allow-oom
-- Takes a ticket out of a shard, and tells the owner that it isn't wanted, which may know it by another entry.
-- KEYS[1] the shard's tickets (stream)
-- KEYS[2] the shard's last epoch (string)
-- ARGV[1] the ticket's entry
-- ARGV[2] the ticket's id
-- ARGV[3] 1: the shard is there in any case; 0: only if it has an epoch
-- Returns 1 if the entry was there, else 0.
if ARGV[3] == '0' and redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
local deleted = redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[1], '*', 'w', ARGV[2])
return deleted
