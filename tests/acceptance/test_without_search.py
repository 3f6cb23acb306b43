"""S2.30. Full text without its sub-app: a clear error everywhere, and nothing is searched by reading it all."""

import pytest
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, NotSupported, conversation
from chat_memory.sessions import asearch, search
from chat_memory.storage.memory import MemoryAdapter
from tests.acceptance.api_support import caller, stored
from tests.acceptance.command_line import run

pytestmark = pytest.mark.django_db(transaction=True)
LACK = "add 'chat_memory.search' to INSTALLED_APPS"


async def test_a_search_is_refused_before_anything_is_read() -> None:
    with pytest.raises(NotSupported, match=LACK):
        await asearch("bread", "acme")
    with pytest.raises(NotSupported, match=LACK):
        await conversation("k", "acme").asearch("bread")


def test_the_error_names_back_end_and_part() -> None:
    chat = conversation("k", "acme", adapter=MemoryAdapter())
    chat.append(Message.user("bread"))
    with pytest.raises(NotSupported, match=r"MemoryAdapter .*part 'search'"):
        chat.search("bread")
    stored(messages=1)
    with CaptureQueriesContext(connection) as queries, pytest.raises(NotSupported, match=r"DjangoAdapter .*'search'"):
        search("1", "acme")
    assert len(queries) == 0


def test_the_command_says_what_is_missing() -> None:
    with pytest.raises(CommandError, match=LACK):
        run("search_index")


@pytest.mark.urls("tests.acceptance.api_urls")
def test_the_api_answers_that_it_has_none() -> None:
    """A stranger is told no more than of any other address of the workspace."""
    stored(messages=1)
    member = caller("reader")
    answer = member.get("/api/workspaces/acme/search/", {"q": "1"})
    assert (answer.status_code, answer.json()["code"]) == (501, "not_supported")
    assert caller(None).get("/api/workspaces/acme/search/", {"q": "1"}).status_code == 404
