-- Puts a session into lists. ARGV: member, active_at, expiry time or ''. It is used where the script that wrote the
-- session could not update the lists.
check_lists(1)
enlist(1, ARGV[1], ARGV[2], ARGV[3])
