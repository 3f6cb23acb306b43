"""Owns the pages of the admin, one module each, and the modules that load their rows."""
