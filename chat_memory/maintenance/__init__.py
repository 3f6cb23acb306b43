"""Owns operations on many conversations at once, each a function that returns a frozen Report; it must not print."""
