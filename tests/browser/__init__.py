"""Markup stored in every field, on every page that shows it, in a real browser under a strict policy of content."""
