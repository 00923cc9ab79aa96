#!lua flags=allow-oom
-- Gives a chat a new home, unless it has one.
-- KEYS[1] the chat's home (string with a time to live)
-- ARGV[1] the relay that is proposed
-- ARGV[2] how long the home is remembered, in milliseconds
-- Returns the relay that is its home.
local chosen = redis.call('GET', KEYS[1])
if chosen then
  return chosen
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
