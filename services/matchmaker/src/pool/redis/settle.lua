#!lua flags=allow-oom
-- Forgets pairings that have been delivered. An acknowledgement alone would free no memory.
-- KEYS[1] the shard's pairs (stream)
-- ARGV[1] the consumer group
-- ARGV[2...] the pairings' entries, at most some thousands
redis.call('XACK', KEYS[1], unpack(ARGV))
redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
