#!lua flags=allow-oom
-- Puts tickets into a shard that come from another one, in order and each move once, also where it has no more room: they were let
-- in there.
-- KEYS[1] the shard's tickets (stream)
-- KEYS[n + 1] that move n has been made (string with a time to live)
-- ARGV[1] how long that is remembered, in milliseconds
-- ARGV[n + 1] the ticket of move n
for n = 2, #ARGV do
  if redis.call('SET', KEYS[n], '', 'NX', 'PX', ARGV[1]) then
    redis.call('XADD', KEYS[1], '*', 't', ARGV[n])
  end
end
