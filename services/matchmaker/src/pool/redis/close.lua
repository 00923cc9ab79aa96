#!lua flags=allow-oom
-- Removes a shard that holds nothing.
-- KEYS[1] the shard's last epoch (string)
-- KEYS[2] the shard's owner (string with a time to live)
-- KEYS[3] the shard's tickets (stream)
-- KEYS[4] the shard's pairs (stream)
-- ARGV[1] the owner's epoch
-- Returns nil if the epoch is not the last; 0 if the shard holds something; 1 if it is removed.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return false
end
if redis.call('XLEN', KEYS[3]) > 0 or redis.call('XLEN', KEYS[4]) > 0 then
  return 0
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
return 1
