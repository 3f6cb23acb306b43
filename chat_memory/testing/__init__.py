"""Owns the test tools for hosts: ``factories`` and the ``conformance`` kit; no production code imports it."""

try:
    import pytest
except ImportError:  # the factories work without pytest
    pass
else:  # makes a failing clause show the compared values
    pytest.register_assert_rewrite("chat_memory.testing.conformance")
