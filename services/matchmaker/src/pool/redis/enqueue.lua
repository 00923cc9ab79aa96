-- Puts a ticket into a shard, unless the shard is full.
-- KEYS[1] the shard's tickets (stream)
-- ARGV[1] how many entries it takes
-- ARGV[2] the ticket
-- ARGV[3] the trace context; may be empty
-- Returns the new entry's id, or nil if the shard is full.
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then
  return false
end
if ARGV[3] == '' then
  return redis.call('XADD', KEYS[1], '*', 't', ARGV[2])
end
return redis.call('XADD', KEYS[1], '*', 't', ARGV[2], 'p', ARGV[3])
