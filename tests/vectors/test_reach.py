"""Whatever happens to a message reaches its embedding in the same transaction; nothing of it is left in the table."""

from datetime import UTC, datetime, timedelta

import pytest

from chat_memory import Message, conversation
from chat_memory.models import Session
from chat_memory.vectors.models import Embedding
from tests.acceptance.command_line import run
from tests.conversations import say
from tests.rollback import undone
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


def test_embeddings_are_of_their_workspace_alone() -> None:
    for workspace in ("acme", "rival"):
        conversation("k", workspace).append(Message.user("one"), Message.user("two"))
        conversation("k", workspace).relevant("one", 1)
    pairs = set(Embedding._default_manager.values_list("session_id", "workspace_id"))
    assert pairs == set(Session.objects.values_list("pk", "workspace_id"))
