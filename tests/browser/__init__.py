"""Stored markup on every page, and the chat page of the example, in a real browser under a strict policy of content."""
