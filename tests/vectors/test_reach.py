"""Whatever happens to a message reaches its embedding in the same transaction; nothing of it is left in the table."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.models import Model
from django.db.models.signals import pre_delete

from chat_memory import Message, conversation, wiring
from chat_memory.maintenance import embedding
from chat_memory.models import Message as MessageRow, Session
from chat_memory.storage.contract import VectorStore
from chat_memory.vectors.models import Embedding
from tests.acceptance.command_line import run
from tests.conversations import say
from tests.rollback import undone
from tests.vectors.embedders import Counting
from tests.vectors.looking import embeddings, saying
from tests.ways_out import WAYS, WAYS_OF_A_WORKSPACE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("way", WAYS | WAYS_OF_A_WORKSPACE)
def test_every_way_out_leaves_nothing_in_the_table(way: str) -> None:
    chat = conversation("doomed", "acme")
    chat.append(Message.user("x", id="m"), Message.user("one"), Message.user("two"))
    draft = chat.fork("draft", at=1)
    draft.append(Message.user("three"), Message.user("four"))
    kept = conversation("kept", "rival")
    kept.append(Message.user("five"), Message.user("six"))
    for each in (chat, draft, kept):
        each.relevant("one", 1)
    assert embeddings() == 7
    (WAYS | WAYS_OF_A_WORKSPACE)[way](Session.objects.get(key="doomed", branch="main"))
    assert embeddings() == 2
    assert saying(kept.relevant("six", 1)) == ["six"]


def test_an_edit_and_a_redaction_take_the_embedding_with_them() -> None:
    """In their own transaction, so that one that is rolled back leaves it; also of a copy on another branch."""
    say("one", "two", "three")
    chat = conversation("k", "acme")
    chat.relevant("one", 1)
    with undone():
        chat.edit(1, "else")
    with undone():
        chat.redact(1)
    assert embeddings() == 3
    chat.edit(1, "else")
    assert sorted(Embedding._default_manager.values_list("seq", flat=True)) == [2, 3]
    chat.redact(2)
    assert list(Embedding._default_manager.values_list("seq", flat=True)) == [3]


def test_a_redaction_reaches_the_copies_of_a_merge() -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("said", id="m"), Message.user("two"))
    draft = chat.fork("draft", at=0)
    draft.append(Message.system("x"))
    chat.merge("main", "draft")
    for branch in ("main", "draft"):
        conversation("k", "acme", branch=branch).relevant("said", 1)
    before = embeddings()
    chat.redact("m")
    assert embeddings() == before - 2


def test_a_branch_that_goes_takes_its_own_alone() -> None:
    say("one", "two")
    chat = conversation("k", "acme")
    draft = chat.fork("draft", at=1)
    draft.append(Message.user("three"))
    draft.relevant("one", 1)
    assert embeddings() == 2
    assert draft.delete()
    assert embeddings() == 1


def test_what_is_popped_or_cleared_leaves_nothing() -> None:
    say("one", "two", "three")
    chat = conversation("k", "acme")
    chat.relevant("one", 1)
    chat.pop()
    assert embeddings() == 2
    chat.append(Message.user("four"))
    assert saying(chat.relevant("four", 1)) == ["four"]
    chat.clear()
    Session.objects.filter(key="k").update(cleared_at=datetime.now(UTC) - timedelta(days=400))
    run("cleanup", "--days", "3650")
    assert embeddings() == 0


@contextmanager
def while_rows_go(model: type[Model], work: Callable[[], object]) -> Iterator[None]:
    """Somebody else works when what hangs on a row is gone already, and the row itself not yet."""
    gone, worked = threading.Event(), threading.Event()

    def other() -> None:
        gone.wait(60)
        try:
            work()
        finally:
            worked.set()
            connections.close_all()

    def on_delete(**_signal: object) -> None:
        gone.set()
        assert worked.wait(60)

    thread = threading.Thread(target=other)
    thread.start()
    pre_delete.connect(on_delete, sender=model)
    try:
        yield
    finally:
        pre_delete.disconnect(on_delete, sender=model)
        gone.set()
        thread.join()


@pytest.mark.postgresql
@pytest.mark.parametrize("way", ["a_queryset", "the_row", "the_workspace", "a_queryset_of_workspaces", "age"])
def test_nothing_is_embedded_of_what_is_about_to_go(way: str) -> None:
    """SQLite has one writer."""
    say("one", "two")
    conversation("k", "acme").fork("draft", at=1).append(Message.user("three"))
    doomed = Session.objects.get(key="k", branch="main")
    with while_rows_go(Session, embedding.embed):
        (WAYS | WAYS_OF_A_WORKSPACE)[way](doomed)
    assert embeddings() == 0


@pytest.mark.postgresql
def test_nothing_is_embedded_of_what_is_cleared_for_good_on_a_branch() -> None:
    """The cleanup holds the row of the branch alone."""
    say("one", "two")
    draft = conversation("k", "acme").fork("draft", at=1)
    draft.append(Message.user("three"), Message.user("four"))
    store = wiring.adapter("default").part(VectorStore)
    lacking = store.unembedded(draft.place.address, "m", 2)
    draft.clear()
    Session.objects.filter(branch="draft").update(cleared_at=datetime.now(UTC) - timedelta(days=400))
    left: list[int] = []
    made = [(each, [1.0, 0.0]) for each in lacking]
    with while_rows_go(MessageRow, lambda: left.append(store.keep("m", made, wait=False))):
        run("cleanup", "--days", "3650")
    assert (len(lacking), left, embeddings("m")) == (3, [2], 1)


def test_a_fixture_takes_embeddings_along(tmp_path: Path) -> None:
    """``dumpdata`` and ``loaddata``, as a project moves from one database to another."""
    say("bread", "soup", " ")
    chat, embedder, fixture = conversation("k", "acme"), Counting("m"), tmp_path / "embeddings.json"
    found = chat.relevant("bread", 1, embedder)
    call_command("dumpdata", "chat_memory_vectors", output=str(fixture))
    Embedding._default_manager.all().delete()
    call_command("loaddata", str(fixture), verbosity=0)
    assert chat.relevant("bread", 1, embedder) == found
    assert embedder.texts == ["bread", "bread", "soup", "bread"]


def test_embeddings_are_of_their_workspace_alone() -> None:
    for workspace in ("acme", "rival"):
        conversation("k", workspace).append(Message.user("one"), Message.user("two"))
        conversation("k", workspace).relevant("one", 1)
    pairs = set(Embedding._default_manager.values_list("session_id", "workspace_id"))
    assert pairs == set(Session.objects.values_list("pk", "workspace_id"))
