"""A toy app of a host: notes on sessions and on messages, which must go with what they are about."""
