"""The rules that only show with a second actor at the right moment: in, around and after a transaction."""

from collections.abc import Callable
from itertools import pairwise
from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from redis import Redis

from chat_memory import Message, conversation
from chat_memory.history.conversation import Conversation
from chat_memory.models import Session
from chat_memory.records import Span
from tests.faults.letters import read_letters, write_letters

pytestmark = pytest.mark.django_db(transaction=True)

MODES = ["off", "strict", "bounded"]
CACHED = ["strict", "bounded"]


WHOLE = 7
"""Where the header says whether the entry is all there is."""


def newest_letters() -> str:
    """The same, of a read that knows how many it wants."""
    return "".join(str(message.content) for message in conversation("k").tail(20))


def read_letters_elsewhere() -> str:
    """What another process sees meanwhile."""
    found: list[str] = []

    def read() -> None:
        try:
            found.append(read_letters())
        finally:
            connection.close()

    thread = Thread(target=read, daemon=True)
    thread.start()
    thread.join(30)
    assert found, "the reader is blocked, or has failed"
    return found[0]


@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_no_reader_sees_half_a_transaction(mode: str) -> None:
    """FEATURES N05: after the commit, between the pushes of its two appends, there is no state between."""
    write_letters("a")
    assert read_letters() == "a"
    seen: list[str] = []
    with transaction.atomic():
        write_letters("b")
        transaction.on_commit(lambda: seen.append(read_letters()))
        write_letters("c")
        transaction.on_commit(lambda: seen.append(read_letters()))
    assert seen == ["abc", "abc"]
    assert read_letters() == "abc"


CHANGES = {
    "append": lambda: write_letters("b"),
    "clear": lambda: conversation("k").clear(),
    "delete": lambda: conversation("k").delete(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_reader_beside_a_transaction_leaves_nothing_of_before(mode: str, change: str) -> None:
    """FEATURES N05: what somebody read and kept while a change was not yet committed goes with the commit."""
    write_letters("a")
    with transaction.atomic():
        CHANGES[change]()
        assert read_letters_elsewhere() == "a"
    assert read_letters() == {"append": "ab", "clear": "", "delete": ""}[change]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_nothing_is_announced_before_the_commit(mode: str, change: str, redis_client: Redis) -> None:
    """FEATURES N05: until then the entry is what everybody else reads."""
    write_letters("a")
    assert read_letters() == "a"
    (key,) = redis_client.keys("cm:*")
    before: Any = redis_client.dump(key)
    with transaction.atomic():
        CHANGES[change]()
        assert redis_client.dump(key) == before
    assert redis_client.dump(key) != before


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_reader_beside_a_transaction_that_fails(mode: str, change: str) -> None:
    """FEATURES N05: neither it nor anybody after it sees what was rolled back."""
    write_letters("a")
    assert read_letters() == "a"
    with transaction.atomic():
        CHANGES[change]()
        assert read_letters_elsewhere() == "a"
        transaction.set_rollback(True)
    assert read_letters() == "a"


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_transaction_stores_nothing_it_read(mode: str, redis_client: Redis) -> None:
    """No fill and no lease, for what it reads may never be committed."""
    write_letters("a")
    with transaction.atomic():
        write_letters("b")
        assert (read_letters(), conversation("k").tail(1)[0].content) == ("ab", "b")
        assert redis_client.keys("cm:*") == []
        transaction.set_rollback(True)
    assert read_letters() == "a"


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_answer_that_nobody_took_goes_to_nobody_else(mode: str, counted: list[str]) -> None:
    """Redis was asked, and then the database refused: the next question does not get the answer to this one."""
    write_letters("a")
    assert newest_letters() == "a"
    for before, after in pairwise(["a", "ab", "abc"]):
        with transaction.atomic():
            transaction.set_rollback(True)
            with pytest.raises(TransactionManagementError):
                newest_letters()
        write_letters(after[-1])
        counted.clear()
        assert newest_letters() == after != before
        assert counted == ["hits"]


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_handle_of_a_deleted_session_stays_empty(mode: str) -> None:
    """It is of one row; a later session of the same name is not its business, though both have one key in Redis."""
    write_letters("a")
    row = Session.objects.get(workspace__slug="default", key="k")
    old = row.history()
    assert len(old.messages()) == 1
    conversation("k").delete()
    write_letters("b")
    assert read_letters() == "b"
    assert old.messages() == []


@pytest.mark.parametrize("mode", ["strict"], indirect=True)
def test_database_that_went_back_is_believed(mode: str, counted: list[str]) -> None:
    """A restore: the entry is ahead of the row for good, and is replaced rather than asked for ever."""
    write_letters("a")
    before = Session.objects.filter(workspace__slug="default", key="k").values("version", "vtoken", "last_seq").get()
    write_letters("b")
    assert read_letters() == "ab"
    session = Session.objects.get(workspace__slug="default", key="k")
    session.messages.filter(workspace=session.workspace_id, seq=2).delete()
    Session.objects.filter(workspace__slug="default", key="k").update(**before, message_count=1)
    assert read_letters() == "a"
    counted.clear()
    assert read_letters() == "a"
    assert counted == ["hits"]


READS: dict[str, Callable[[Conversation, int], list[Message]]] = {
    "messages": lambda chat, least: chat.messages(min_version=least),
    "tail": lambda chat, least: chat.tail(20, min_version=least),
    "window": lambda chat, least: chat.window(turns=2, min_version=least),
    "context": lambda chat, least: chat.context(messages=2, min_version=least),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("mode", ["bounded"], indirect=True)
def test_own_write_is_read_however_old_the_entry(mode: str, read: str, redis_client: Redis) -> None:
    """FEATURES N06: with the receipt's version, even after a lost push; what is then read replaces the entry."""
    write_letters("a")
    assert read_letters() == "a"
    (key,) = redis_client.keys("cm:*")
    older: Any = redis_client.dump(key)
    receipt = conversation("k").append(Message.user("b"))
    redis_client.restore(key, 60_000, older, replace=True)
    assert read_letters() == "a"
    least, chat = receipt.version, conversation("k")
    assert [message.content for message in READS[read](chat, least)] == ["a", "b"]
    assert read_letters() == "ab"


@pytest.mark.parametrize("mode", ["bounded"], indirect=True)
def test_own_write_is_not_read_of_an_earlier_session(mode: str, redis_client: Redis) -> None:
    """Deleted and made again, and Redis brought back to before: the old version is larger, but not of the receipt."""
    write_letters("ab")
    write_letters("c")
    assert read_letters() == "abc"
    (key,) = redis_client.keys("cm:*")
    older: Any = redis_client.dump(key)
    conversation("k").delete()
    chat = conversation("k")
    receipt = chat.append(Message.user("d"))
    redis_client.restore(key, 60_000, older, replace=True)
    assert [message.content for message in chat.messages(min_version=receipt.version)] == ["d"]
    assert read_letters() == "abc"


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_process_of_a_smaller_tail_does_not_take_its_part_for_the_whole(mode: str, settings: Any) -> None:
    """FEATURES N07: what another deployment filled may be more than this one asks for."""
    write_letters("abc")
    assert read_letters() == "abc"
    settings.CHAT_MEMORY = {**settings.CHAT_MEMORY, "CACHE_TAIL": 2}
    chat = conversation("k")
    assert [len(chat.messages()), len(chat.head(3)), len(chat.since(0))] == [3, 3, 3]


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_process_of_a_larger_tail_does_not_take_a_part_for_the_whole(
    mode: str, settings: Any, redis_client: Redis
) -> None:
    """FEATURES N07: what another deployment filled may be less than this one asks for, and says so."""
    write_letters("abc")
    settings.CHAT_MEMORY = {**settings.CHAT_MEMORY, "CACHE_TAIL": 2}
    assert len(conversation("k").tail(2)) == 2
    (key,) = redis_client.keys("cm:*")
    stored: Any = redis_client.lindex(key, -1)
    assert (redis_client.llen(key), stored.split(b";")[WHOLE]) == (3, b"0")
    settings.CHAT_MEMORY = {**settings.CHAT_MEMORY, "CACHE_TAIL": 50}
    assert [len(conversation("k").tail(3)), read_letters()] == [3, "abc"]


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_retry_of_a_part_adds_the_rest_alone(mode: str, counted: list[str]) -> None:
    """FEATURES N04: the entry goes on to answer."""
    first = Message.user("a", id="a")
    conversation("k").append(first)
    assert read_letters() == "a"
    conversation("k").append(first, Message.user("b"))
    counted.clear()
    assert read_letters() == "ab"
    assert counted == ["hits"]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_entry_of_another_conversation_is_not_shown(mode: str, read: str, redis_client: Redis) -> None:
    """FEATURES N12: the answer to another's question, as from a connection that somebody left with one in it."""
    conversation("other", "elsewhere").append(Message.user("a secret"))
    conversation("other", "elsewhere").tail(20)
    (theirs,) = redis_client.keys("cm:{*")
    secret: Any = redis_client.dump(theirs)
    write_letters("a")
    assert read_letters() == "a"
    (ours,) = set(redis_client.keys("cm:{*")) - {theirs}
    redis_client.restore(ours, 60_000, secret, replace=True)
    assert [message.content for message in READS[read](conversation("k"), 0)] == ["a"]
    assert read_letters() == "a"


PARTS = {"first": Span(first=1), "after": Span(after=1), "before": Span(before=3), "page": Span(before=3, last=1)}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_read_of_a_part_stores_nothing(mode: str, part: str, redis_client: Redis) -> None:
    """FEATURES N02: only the newest messages without a gap make an entry."""
    write_letters("abc")
    assert conversation("k").read(PARTS[part]).messages
    assert redis_client.keys("cm:*") == []


@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_page_before_a_position_is_not_of_the_newest(mode: str, counted: list[str]) -> None:
    """A warm entry answers it from all it has, not from as many of the newest as the page is long."""
    write_letters("abcdef")
    assert read_letters() == "abcdef"
    counted.clear()
    found = conversation("k").read(Span(before=4, last=2)).messages
    assert [message.content for message in found] == ["b", "c"]
    assert counted == ([] if mode == "off" else ["hits"])
