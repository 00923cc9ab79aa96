#!lua flags=allow-oom
-- Puts tickets into a shard that come from another one, in order, also where it has no more room: they were let in there.
-- KEYS[1] the shard's tickets (stream)
-- ARGV the tickets
for _, ticket in ipairs(ARGV) do
  redis.call('XADD', KEYS[1], '*', 't', ticket)
end
