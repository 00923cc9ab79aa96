#!lua flags=allow-oom
-- Takes over pairings that were taken and not settled; where the consumer group is missing, as after a loss of all data,
-- makes it.
-- KEYS[1] the shard's pairs (stream)
-- ARGV[1] the consumer group
-- ARGV[2] the consumer
-- ARGV[3] for how long they have been idle at least, in milliseconds
-- ARGV[4] how many at most
-- Returns the entries.
local claimed = redis.pcall('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], '0-0', 'COUNT', ARGV[4])
if claimed.err then
  redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
  return {}
end
return claimed[2]
