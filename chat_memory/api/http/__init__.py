"""Owns the HTTP mechanics that all resources share: requests, pages, preconditions, problem documents."""
