#!lua flags=allow-oom
-- Puts news into a gateway's inbox, in order.
-- KEYS[1] the inbox (stream with a time to live)
-- ARGV[1] how much news it holds, about; beyond that the oldest is dropped
-- ARGV[2] how long an inbox is kept that nobody asks to keep, in milliseconds
-- ARGV[3...] the news
for n = 3, #ARGV do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'a', ARGV[n])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2], 'NX')
