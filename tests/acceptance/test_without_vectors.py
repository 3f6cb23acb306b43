"""FEATURES N49. Relevance without its sub-app: a clear error everywhere, and nothing is compared by reading it all."""

import pytest
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, NotSupported, conversation
from chat_memory.storage.memory import MemoryAdapter
from tests.acceptance.command_line import run

pytestmark = pytest.mark.django_db(transaction=True)
LACK = "add 'chat_memory.vectors' to INSTALLED_APPS"


async def test_it_is_refused_before_anything_is_read_or_embedded() -> None:
    def embed(texts: list[str]) -> None:
        raise AssertionError(texts)

    with pytest.raises(NotSupported, match=LACK):
        await conversation("k", "acme").arelevant("bread", 3, embed)  # type: ignore[arg-type]


def test_the_error_names_back_end_and_part() -> None:
    chat = conversation("k", "acme", adapter=MemoryAdapter())
    chat.append(Message.user("bread"))
    with pytest.raises(NotSupported, match=r"MemoryAdapter .*part 'vectors'"):
        chat.relevant("bread", 3)
    conversation("k", "acme").append(Message.user("bread"))
    with CaptureQueriesContext(connection) as queries, pytest.raises(NotSupported, match=r"DjangoAdapter .*'vectors'"):
        conversation("k", "acme").relevant("bread", 3)
    assert len(queries) == 0


def test_the_command_says_what_is_missing() -> None:
    with pytest.raises(CommandError, match=LACK):
        run("embed")
