-- Puts a session into lists. ARGV: member, active_at, expiry time or ''. Only where these are in other slots than the
-- session; elsewhere the scripts that write do it.
check_lists(1)
enlist(1, ARGV[1], ARGV[2], ARGV[3])
