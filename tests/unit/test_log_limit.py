"""The limit on log lines: one of each kind in a minute."""

import pytest

from chat_memory.log_limit import SECONDS, LogLimit

pytestmark = pytest.mark.once


def test_one_line_of_each_kind_is_written_in_its_time() -> None:
    now = 0.0
    limit = LogLimit(lambda: now)
    assert [limit.allows("timeout"), limit.allows("timeout"), limit.allows("refused")] == [True, False, True]
    now = SECONDS - 0.1
    assert not limit.allows("timeout")
    now = SECONDS
    assert [limit.allows("timeout"), limit.allows("timeout")] == [True, False]


def test_what_was_not_written_does_not_put_off_the_next_line() -> None:
    now = 0.0
    limit = LogLimit(lambda: now)
    assert limit.allows("timeout")
    for now in range(1, int(SECONDS)):  # noqa: B007  # the clock reads it
        assert not limit.allows("timeout")
    now = SECONDS
    assert limit.allows("timeout")
