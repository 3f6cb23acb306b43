"""The guard over this folder: its tests reach no server, not even one that happens to run."""

import socket

import pytest

pytestmark = pytest.mark.once


def test_a_connection_fails_the_test_that_wants_it() -> None:
    with socket.socket() as client, pytest.raises(pytest.fail.Exception, match="belongs into tests/integration"):
        client.connect(("127.0.0.1", 1))
