#!lua flags=allow-oom
-- Adds a heartbeat and drops those that are old by Redis' own clock.
-- KEYS[1] the members (stream)
-- ARGV[1] the heartbeat
-- ARGV[2] how long heartbeats are kept, in milliseconds
-- Returns the new entry's id.
local time = redis.call('TIME')
local oldest = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(ARGV[2])
return redis.call('XADD', KEYS[1], 'MINID', '~', string.format('%.0f', oldest), '*', 'm', ARGV[1])
