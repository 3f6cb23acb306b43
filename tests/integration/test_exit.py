"""The one exit: what a host's tables hang on a session or a message goes with it, by every way out."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from chat_memory import Message, conversation
from chat_memory.models import Message as MessageRow, Session
from tests.acceptance.command_line import run
from tests.rollback import undone
from tests.toy_notes.models import MessageNote, SessionNote, removals
from tests.ways_out import WAYS, WAYS_OF_A_WORKSPACE

pytestmark = pytest.mark.django_db(transaction=True)


IN_A_TRANSACTION = ("a_queryset", "the_row", "the_conversation", "the_workspace", "a_queryset_of_workspaces")
ON_SESSIONS = ("main", "draft")
"""The branches of ``noted``, each with a note."""


@pytest.fixture(autouse=True)
def _nothing_removed_yet() -> None:
    removals.clear()


def noted(key: str, workspace: str = "acme") -> Session:
    """A conversation with a branch, and a note on each of its rows and of its messages."""
    chat = conversation(key, workspace)
    chat.append(Message.user("a"), Message.assistant("b"), Message.user("c"))
    chat.fork("draft", at=2).append(Message.user("d"))
    rows = Session.objects.filter(workspace__slug=workspace, key=key)
    for row in rows:
        SessionNote.objects.create(session=row, text=f"{workspace}/{key}/{row.branch}")
    for message in MessageRow.objects.filter(session__in=rows).select_related("session"):
        name = f"{workspace}/{key}/{message.session.branch}"
        MessageNote.objects.create(session_id=message.session_id, seq=message.seq, text=f"{name} {message.seq}")
    return rows.get(branch="main")


def notes() -> set[str]:
    """The texts of all notes."""
    return {*SessionNote.objects.values_list("text", flat=True), *MessageNote.objects.values_list("text", flat=True)}


def notes_on(name: str) -> set[str]:
    """The texts of the notes on a conversation of ``noted``."""
    return {f"{name}/main", f"{name}/draft", f"{name}/draft 3", *(f"{name}/main {seq}" for seq in (1, 2, 3))}


def test_a_hook_that_raises_is_logged_and_undoes_nothing(monkeypatch, caplog) -> None:
    class Broken(list[object]):
        def append(self, item: object) -> None:
            raise RuntimeError("the hook's own")

    monkeypatch.setattr("tests.toy_notes.models.removals", Broken())
    noted("doomed")
    assert conversation("doomed", "acme").delete()
    assert (notes(), Session.objects.count()) == (set(), 0)
    assert "the hook's own" in caplog.text


@pytest.mark.parametrize("way", WAYS)
def test_what_hangs_on_a_conversation_goes_with_it(way: str) -> None:
    doomed = noted("doomed")
    noted("kept")
    noted("doomed", "globex")
    WAYS[way](doomed)
    assert notes() == notes_on("acme/kept") | notes_on("globex/doomed")


@pytest.mark.parametrize("way", WAYS_OF_A_WORKSPACE)
def test_what_hangs_on_conversations_goes_with_their_workspace(way: str) -> None:
    doomed = noted("one")
    noted("two")
    noted("one", "globex")
    WAYS_OF_A_WORKSPACE[way](doomed)
    assert notes() == notes_on("globex/one")


def test_what_hangs_on_a_branch_goes_with_it_alone() -> None:
    noted("k")
    assert conversation("k", "acme", branch="draft").delete()
    assert notes() == notes_on("acme/k") - {"acme/k/draft", "acme/k/draft 3"}


def test_what_hangs_on_cleared_messages_goes_when_they_are_removed() -> None:
    """Only that: the session is still there, and so are its newer messages."""
    chat = conversation("k", "acme")
    chat.append(Message.user("a"), Message.user("b"))
    chat.clear()
    chat.append(Message.user("c"))
    row = Session.objects.get(key="k")
    SessionNote.objects.create(session=row, text="session")
    for seq in (1, 2, 3):
        MessageNote.objects.create(session_id=row.pk, seq=seq, text=f"{seq}")
    noted("other")
    assert notes() == {"session", "1", "2", "3"} | notes_on("acme/other")
    Session.objects.filter(key="k").update(cleared_at=datetime.now(UTC) - timedelta(days=400))
    assert "2 cleared messages" in run("cleanup", "--days", "3650")
    assert notes() == {"session", "3"} | notes_on("acme/other")


def test_hidden_messages_keep_their_notes_until_they_are_removed() -> None:
    noted("k")
    conversation("k", "acme").clear()
    assert notes() == notes_on("acme/k")


@pytest.mark.parametrize("mode", ["strict", "bounded"])
@pytest.mark.parametrize("way", WAYS | WAYS_OF_A_WORKSPACE)
def test_no_entry_of_the_cache_is_left(way: str, mode: str, settings, redis_client) -> None:
    settings.CHAT_MEMORY = {"CACHE": mode}
    doomed = noted("doomed")
    before = set(redis_client.keys())
    for branch in (None, *ON_SESSIONS):
        assert conversation("doomed", "acme", branch=branch).tail(20)
    entries = set(redis_client.keys()) - before
    assert len(entries) == 3
    (WAYS | WAYS_OF_A_WORKSPACE)[way](doomed)
    assert entries & set(redis_client.keys()) == set()
    assert conversation("doomed", "acme").tail(20) == []


@pytest.mark.parametrize("way", WAYS | WAYS_OF_A_WORKSPACE)
def test_a_host_hears_what_went_once_it_is_committed(way: str) -> None:
    doomed = noted("doomed")
    (WAYS | WAYS_OF_A_WORKSPACE)[way](doomed)
    assert heard() == notes_on("acme/doomed")


@pytest.mark.parametrize("way", IN_A_TRANSACTION)
def test_a_host_hears_nothing_before_the_commit(way: str) -> None:
    doomed = noted("doomed")
    with transaction.atomic():
        (WAYS | WAYS_OF_A_WORKSPACE)[way](doomed)
        assert notes() == set()
        assert removals == []
    assert heard() == notes_on("acme/doomed")


@pytest.mark.parametrize("way", IN_A_TRANSACTION)
def test_a_host_hears_nothing_of_a_rollback(way: str) -> None:
    doomed = noted("doomed")
    with undone():
        (WAYS | WAYS_OF_A_WORKSPACE)[way](doomed)
    assert removals == []
    assert notes() == notes_on("acme/doomed")


def heard() -> set[str]:
    """The texts of the notes that the host was told of, each once; of those on sessions it was told how many."""
    assert {alias for alias, _removed in removals} == {"default"}
    count = sum(removed for _alias, removed in removals if isinstance(removed, int))
    told = [text for _alias, removed in removals if isinstance(removed, list) for text in removed]
    assert len(told) == len(set(told))
    assert count == len(ON_SESSIONS)
    return {*told, *(f"acme/doomed/{name}" for name in ON_SESSIONS)}
