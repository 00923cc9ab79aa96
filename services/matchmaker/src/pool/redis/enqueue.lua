-- Puts tickets into a shard, as many as it has room for, if it is open.
-- KEYS[1] the shard's tickets (stream)
-- KEYS[2] the shard's last epoch (string)
-- ARGV[1] how many entries it takes
-- ARGV[2] 1: it is open in any case; 0: only if it has an epoch
-- ARGV[3...] the tickets
-- Returns the new entries' ids, in order; nil if the shard is not open.
if ARGV[2] == '0' and redis.call('EXISTS', KEYS[2]) == 0 then
  return false
end
local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1])
local entries = {}
for n = 3, math.min(#ARGV, room + 2) do
  entries[#entries + 1] = redis.call('XADD', KEYS[1], '*', 't', ARGV[n])
end
return entries
