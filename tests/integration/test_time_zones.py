"""Times are aware UTC whatever zone the host's database works in."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import override_settings

from chat_memory import Message, conversation

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["Asia/Tokyo", "America/Chicago"])
def foreign_connection(request: pytest.FixtureRequest) -> Iterator[None]:
    """The database connection in another zone than UTC."""
    before = connection.settings_dict["TIME_ZONE"]
    connection.close()
    connection.settings_dict["TIME_ZONE"] = request.param
    connection.__dict__.pop("timezone", None)
    connection.__dict__.pop("timezone_name", None)
    yield
    connection.close()
    connection.settings_dict["TIME_ZONE"] = before
    connection.__dict__.pop("timezone", None)
    connection.__dict__.pop("timezone_name", None)


@pytest.mark.parametrize("raw_cursor", [True, False])
@pytest.mark.usefixtures("foreign_connection")
def test_times_come_back_as_they_went_in(raw_cursor: bool) -> None:
    """The two ways to make a session and to store messages, and all ways to read them, agree."""
    with override_settings(CHAT_MEMORY={"CACHE": "off", "RAW_CURSOR": raw_cursor}):
        chat = conversation("k")
        chat.append(Message.user("1", id="1", created_at=NOON))
        chat.append(Message.user("2", id="2", created_at=NOON.astimezone(ZoneInfo("Europe/Paris"))))
        replayed = chat.append(Message.user("1", id="1")).messages
        for message in (*chat.messages(), *replayed):
            assert message.created_at == NOON
            assert message.created_at.tzinfo is UTC
