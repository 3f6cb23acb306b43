"""Owns the views, one module per resource; no resource module imports another."""
