#!lua flags=allow-oom
-- Names what is stored, unless it has a name.
-- KEYS[1] the generation (string)
-- ARGV[1] the name that it gets if it has none
-- Returns the name that it has.
local kept = redis.call('GET', KEYS[1])
if kept then
  return kept
end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
