"""Tests of promises that several modules make alike: the storage contract, the async twins."""
