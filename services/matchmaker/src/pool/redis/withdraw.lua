#!lua flags=allow-oom
-- Tells a shard's owner that a ticket is not wanted any more.
-- KEYS[1] the shard's tickets (stream)
-- ARGV[1] the ticket's id
redis.call('XADD', KEYS[1], '*', 'w', ARGV[1])
