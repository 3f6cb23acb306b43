"""Owns what a host's tests may use: ``factories`` and the ``conformance`` kit; nothing in production imports it."""

try:
    import pytest
except ImportError:  # the factories do without
    pass
else:  # so that a clause which fails shows the values it compared
    pytest.register_assert_rewrite("chat_memory.testing.conformance")
