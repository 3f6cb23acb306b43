"""The sub-app for full text, in a run of its own: every other test is without it."""
