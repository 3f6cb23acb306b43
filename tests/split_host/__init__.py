"""A host whose users are in one database and whose conversations are in another; run as a program of its own."""
