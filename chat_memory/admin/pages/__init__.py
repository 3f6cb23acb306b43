"""Owns the pages of the admin, one module each, next to the modules that load what a page shows."""
