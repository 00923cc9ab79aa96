#!lua flags=allow-oom
-- Makes a lease last longer. One that ran out is taken up again as long as nobody else has become the owner.
-- KEYS[1] the shard's owner (string with a time to live)
-- KEYS[2] the shard's last epoch (string)
-- ARGV[1] the owner
-- ARGV[2] the owner's epoch
-- ARGV[3] the lease, in milliseconds
-- Returns 1, or 0 if the epoch is not the last.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2] .. ' ' .. ARGV[1], 'PX', ARGV[3])
return 1
