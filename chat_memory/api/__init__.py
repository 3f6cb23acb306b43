"""Owns the HTTP API, DRF views over workspaces, sessions and messages; it must not hold storage rules.

Its modules import in one direction: ``urls`` -> ``resources`` -> ``lookup``, ``shapes``, ``access`` -> ``http``.
"""
