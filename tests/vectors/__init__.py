"""The sub-app for relevance, in a run of its own: every other test is without it."""
