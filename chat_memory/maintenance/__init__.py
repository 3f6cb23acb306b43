"""Owns what operators do with many conversations at once, each a function that returns a frozen Report; no printing."""
