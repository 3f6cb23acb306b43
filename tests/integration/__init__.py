"""Tests of the package on a real database and a real Redis."""
