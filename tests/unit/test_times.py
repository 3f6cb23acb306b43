"""The moments that may be stored: those that every time zone can show."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, strategies as st

from chat_memory import ValidationError
from chat_memory.rules.times import EARLIEST, LATEST, check_time

pytestmark = pytest.mark.once

OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None)), OFFSETS)
def test_what_may_be_stored_can_be_shown_in_every_zone(moment: datetime, offset: timezone) -> None:
    aware = moment.replace(tzinfo=UTC)
    check_time(aware, "created_at")
    check_time(aware.astimezone(offset), "created_at")


@pytest.mark.parametrize("moment", [datetime(1, 1, 1), datetime(9999, 12, 31), datetime(1, 1, 1, tzinfo=UTC)])  # noqa: DTZ001
def test_the_edges_of_the_calendar_are_refused(moment: datetime) -> None:
    with pytest.raises(ValidationError, match=f"^created_at: must lie between .*, not {moment.year:04}-"):
        check_time(moment, "created_at")


def test_a_moment_outside_of_the_calendar_as_utc_is_refused() -> None:
    with pytest.raises(ValidationError, match="must lie between"):
        check_time(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "created_at")


@pytest.mark.parametrize("moment", [None, "2025-01-01T00:00:00Z", 0, date(2025, 1, 1)])
def test_what_is_no_moment_is_refused_by_its_type(moment: Any) -> None:
    with pytest.raises(ValidationError, match=f"^expires_at: must be a datetime, not {type(moment).__name__}$"):
        check_time(moment, "expires_at")


def test_f9_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"^expires_at: must be an aware datetime, .* naive 2025-01-01T00:00:00$"):
        check_time(datetime(2025, 1, 1), "expires_at")  # noqa: DTZ001
