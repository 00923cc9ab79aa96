#!lua flags=allow-oom
-- Ends a lease, so that somebody else can take it at once.
-- KEYS[1] the shard's owner (string with a time to live)
-- KEYS[2] the shard's last epoch (string)
-- ARGV[1] the owner's epoch
-- Returns 1, or 0 if the epoch is not the last.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
return 1
