"""A caller's own transaction: everything in it counts with it, and not before."""

import threading
from typing import Any

import pytest
from django.db import connection, connections, transaction

from chat_memory import ChatMemoryError, Message, MessageConflict, VersionConflict, append_many, conversation
from chat_memory.exceptions import BranchExists, MessageNotFound
from chat_memory.models import Session
from chat_memory.records import Address
from chat_memory.storage.contract import BranchStore
from chat_memory.storage.orm import DjangoAdapter
from tests.rollback import undone

pytestmark = pytest.mark.django_db(transaction=True)


def elsewhere(call: Any) -> Any:
    """What a call answers on another connection."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(call())
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    (answer,) = answers
    return answer


def stored_contents(key: str = "k") -> list[Any]:
    """What a reader sees."""
    return [message.content for message in conversation(key).messages()]


def test_commit_makes_everything_visible_at_once() -> None:
    chat = conversation("k")
    chat.append(Message.user("before"))
    with transaction.atomic():
        assert chat.append(Message.user("one")).first_seq == 2
        assert chat.append(Message.user("two"), if_version=2).first_seq == 3
        assert stored_contents() == ["before", "one", "two"]
        assert elsewhere(stored_contents) == ["before"]
    assert elsewhere(stored_contents) == ["before", "one", "two"]


def test_rollback_leaves_no_trace() -> None:
    chat = conversation("k")
    chat.append(Message.user("before"))
    before = chat.session()
    with undone():
        chat.append(Message.user("one", id="one"))
        chat.update(title="t")
        chat.clear()
    assert chat.session() == before
    assert stored_contents() == ["before"]
    retry = chat.append(Message.user("one", id="one"))
    assert (retry.first_seq, retry.version, retry.replayed) == (2, 2, False)


def test_rollback_of_a_first_append_leaves_the_handle_usable() -> None:
    """The ids it has learnt are of a session that never was."""
    chat = conversation("k", "acme")
    with undone():
        chat.append(Message.user("never"))
    assert (chat.messages(), chat.session()) == ([], None)
    assert chat.append(Message.user("x")).first_seq == 1
    assert [message.content for message in chat.messages()] == ["x"]


def test_rollback_brings_a_deleted_conversation_back() -> None:
    chat = conversation("k")
    chat.append(Message.user("kept"))
    with undone():
        assert chat.delete()
        chat.append(Message.user("of another session"))
    assert stored_contents() == ["kept"]


def test_savepoint_is_rolled_back_alone() -> None:
    chat = conversation("k")
    with transaction.atomic():
        chat.append(Message.user("one"))
        with undone():
            chat.append(Message.user("two"))
        assert chat.append(Message.user("three")).first_seq == 2
    assert stored_contents() == ["one", "three"]


def test_refusals_leave_the_callers_transaction_usable() -> None:
    """Replays, conflicts and versions are told apart without breaking it."""
    chat = conversation("k")
    chat.append(Message.user("one", id="one"))
    with transaction.atomic():
        assert chat.append(Message.user("one", id="one")).replayed
        with pytest.raises(MessageConflict):
            chat.append(Message.user("new"), Message.user("other", id="one"))
        with pytest.raises(VersionConflict):
            chat.append(Message.user("new"), if_version=7)
        with pytest.raises(ChatMemoryError):
            conversation("k", branch="draft").append(Message.user("new"))
        chat.append(Message.user("one", id="one"), Message.user("two", id="two"))
    assert stored_contents() == ["one", "two"]


def test_append_many_is_part_of_the_callers_transaction() -> None:
    a, b = conversation("a"), conversation("b")
    with undone():
        append_many({a: [Message.user("x")], b: [Message.user("x")]})
    assert stored_contents("a") == stored_contents("b") == []
    with transaction.atomic():
        append_many({a: [Message.user("x")], b: [Message.user("x")]})
    assert stored_contents("a") == stored_contents("b") == ["x"]


def test_first_append_in_a_transaction_makes_one_session() -> None:
    with transaction.atomic():
        conversation("k").append(Message.user("one"))
        conversation("k").append(Message.user("two"))
    assert Session.objects.filter(workspace__slug="default").count() == 1
    assert stored_contents() == ["one", "two"]


def test_with_autocommit_off_the_caller_commits() -> None:
    chat = conversation("k")
    chat.append(Message.user("one"))
    transaction.set_autocommit(False)
    try:
        chat.append(Message.user("two"))
        assert not connection.in_atomic_block
        transaction.rollback()
        chat.append(Message.user("three"))
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert stored_contents() == ["one", "three"]


def append_impatiently(key: str) -> int | None:
    """Append in a transaction of the caller's that waits for no lock longer than two seconds."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
        return conversation(key).append(Message.user("x")).last_seq


@pytest.mark.postgresql
def test_transactions_of_other_conversations_do_not_wait() -> None:
    """A session is locked, not its workspace: else writers of different conversations wait and deadlock."""
    for key in "ab":
        conversation(key).append(Message.user("x"))
    with transaction.atomic():
        conversation("a").append(Message.user("x"))
        assert elsewhere(lambda: append_impatiently("b")) == 2
        assert elsewhere(lambda: conversation("b").append(Message.user("x"))).last_seq == 3
    assert len(stored_contents("a")) == 2


@pytest.mark.parametrize(("name", "at"), [("draft", 3), ("main", 0)])
def test_a_refused_fork_leaves_nothing_in_the_callers_transaction(name: str, at: int) -> None:
    """FEATURES N47: the conversation is made by the fork, but not by one that is refused."""
    with transaction.atomic():
        with pytest.raises((MessageNotFound, BranchExists)):
            DjangoAdapter().part(BranchStore).fork(Address("acme", "k"), name, at)
        assert not Session.objects.filter(key="k").exists()
