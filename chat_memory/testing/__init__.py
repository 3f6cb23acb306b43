"""Owns what a host's tests may use: ``factories`` and the ``conformance`` kit; nothing in production imports it."""
