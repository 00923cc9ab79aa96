#!lua flags=allow-oom
-- Takes the lease of a shard that has no owner. The epoch is above every earlier one, and follows the clock, so that it
-- rises even when Redis has lost the earlier ones.
-- KEYS[1] the shard's owner (string with a time to live)
-- KEYS[2] the shard's last epoch (string)
-- ARGV[1] the new owner
-- ARGV[2] the lease, in milliseconds
-- Returns the epoch, or nil if the shard has an owner.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return false
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local epoch = string.format('%.0f', math.max(last + 1, now))
redis.call('SET', KEYS[2], epoch)
redis.call('SET', KEYS[1], epoch .. ' ' .. ARGV[1], 'PX', ARGV[2])
return epoch
