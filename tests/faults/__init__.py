"""Tests that try to make the cache wrong: interleavings one by one, random sequences, random faults, broken guards."""
