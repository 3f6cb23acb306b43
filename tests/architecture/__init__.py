"""Tests of the form of the code: who imports whom, how long things are, why each dependency is there."""
