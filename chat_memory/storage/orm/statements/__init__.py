"""Owns the text of the hand-written statements, by what they do; nothing here runs one."""
