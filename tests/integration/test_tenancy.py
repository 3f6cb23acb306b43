"""The watch over the suite's SQL sees what it must see, and would catch a statement that reaches another tenant."""

from contextlib import nullcontext

import pytest
from django.test import override_settings

from chat_memory import Message, conversation
from chat_memory.maintenance import statistics
from chat_memory.models import Session
from chat_memory.storage.orm.statements import read
from chat_memory.storage.tenancy import across_workspaces
from tests.tenancy import Watch

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("raw", [True, False])
def test_every_statement_of_a_conversation_is_seen(tenancy_watch: Watch, raw: bool) -> None:
    """DESIGN section 4, Tenancy: the raw cursor is no blind spot."""
    with override_settings(CHAT_MEMORY={"CACHE": "off", "RAW_CURSOR": raw}):
        chat = conversation("k", workspace="acme")
        chat.append(Message.user("the first of its conversation"))
        before = tenancy_watch.seen
        chat.append(Message.user("stored by one statement"))
        assert tenancy_watch.seen > before
        before = tenancy_watch.seen
        assert len(chat.tail(5)) == 2
        assert tenancy_watch.seen == before + 1


@override_settings(CHAT_MEMORY={"CACHE": "off"})
def test_a_statement_without_the_predicate_is_caught(tenancy_watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch can fail."""
    monkeypatch.setattr(read, "read", lambda **_shape: "SELECT workspace_id FROM chat_memory_session WHERE 1 = 0")
    assert conversation("never on a branch", workspace="acme").messages() == []
    caught, tenancy_watch.loose = tenancy_watch.loose, []
    assert len(caught) == 1


def test_maintenance_is_watched_as_everything_else(tenancy_watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements over all tenants that do not say so are caught, whichever room of the package runs them."""
    statistics.collect()
    assert tenancy_watch.loose == []
    monkeypatch.setattr(statistics, "across_workspaces", nullcontext)
    statistics.collect()
    caught, tenancy_watch.loose = tenancy_watch.loose, []
    assert caught


def test_work_across_workspaces_is_named(tenancy_watch: Watch) -> None:
    """Inside the named context manager a statement may do without; a test's own queries are not watched at all."""
    before = tenancy_watch.seen
    with across_workspaces():
        assert not conversation("k", workspace="acme").messages()
    assert Session.objects.count() == 0
    assert tenancy_watch.seen == before
