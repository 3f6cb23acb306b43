"""What a redaction, an edit or a pop leaves in Redis: nothing, in either mode, and without Redis the change is made."""

from typing import Any

import pytest
from redis import Redis

from chat_memory import Message
from tests.cache.caching import HANDSHAKE, caching, newest_texts
from tests.conversations import chat, say_with_ids
from tests.servers import Server
from tests.watched_redis import names_in_redis

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "hunter2"
CHANGES = {
    "redact": (lambda: chat(branch="draft").redact("q"), "[redacted]"),
    "edit": (lambda: chat().edit(1, "harmless"), "harmless"),
    "edit of metadata": (lambda: chat().edit("q", metadata={}, extra={"x": 1}), f"my password is {SECRET}"),
}


def held(client: Redis) -> bytes:
    """All that Redis holds."""
    found: list[list[Any]] = [client.lrange(key, 0, -1) for key in client.scan_iter()]
    return b"".join(element for elements in found for element in elements)


def shared() -> None:
    """A conversation and a branch of it, both read by their names and as the current one."""
    chat().append(Message.user(f"my password is {SECRET}", id="q"), Message.assistant("a"))
    chat().fork("draft", at=1)
    for _ in range(2):
        for names in ({}, {"branch": "main"}, {"branch": "draft"}):
            newest_texts(**names)


@pytest.mark.parametrize("change", CHANGES)
def test_r55_no_entry_of_any_branch_keeps_what_was_changed(cached: str, client: Redis, change: str) -> None:
    shared()
    assert SECRET.encode() in held(client)
    call, text = CHANGES[change]
    call()
    assert SECRET.encode() not in held(client)
    for names in ({}, {"branch": "main"}, {"branch": "draft"}):
        assert [newest_texts(**names)[0] for _ in range(2)] == [text] * 2
        assert chat(**names).tail(2)[0].extra == ({"x": 1} if "metadata" in change else None)


def test_what_is_said_in_the_place_of_a_popped_message_is_read(cached: str, client: Redis) -> None:
    """The position is the same; version and token are not."""
    say_with_ids("a", SECRET)
    assert [newest_texts() for _ in range(2)] == [["a", SECRET]] * 2
    popped = chat().pop()
    assert popped is not None
    assert SECRET.encode() not in held(client)
    assert [newest_texts() for _ in range(2)] == [["a"]] * 2
    chat().append(Message.user("b"))
    assert [newest_texts() for _ in range(2)] == [["a", "b"]] * 2
    assert [message.seq for message in chat().tail(5)] == [1, 2]


@pytest.mark.parametrize("verb", ["redact", "pop"])
def test_a_change_is_made_without_redis(each_mode: str, victim: Server, verb: str) -> None:
    """Strict shows nothing of before even where the entry is there again; bounded may until it is too old."""
    with caching(each_mode, victim.url):
        shared()
        victim.process.kill()
        victim.process.wait()
        if verb == "redact":
            assert chat().redact(1).content == "[redacted]"
        else:
            assert chat().pop() is not None
        expected = ["[redacted]", "a"] if verb == "redact" else [f"my password is {SECRET}"]
        assert [newest_texts() for _ in range(3)] == [expected] * 3


@pytest.mark.parametrize("verb", ["edit", "redact"])
def test_a_change_drops_the_entries_of_all_branches_at_once(cached: str, client: Redis, verb: str) -> None:
    """However many branches share the message: a command for each would hold up the writer of a large family."""
    calls = []
    for number in (2, 40):
        of = chat(f"{number} branches")
        of.append(Message.user("q"), Message.assistant("a"))
        for index in range(number):
            of.fork(f"draft-{index}")
        change = {"edit": lambda of=of: of.edit(1, "other words"), "redact": lambda of=of: of.redact(1)}[verb]
        calls.append([name for name in names_in_redis(client, change) if name not in HANDSHAKE])
    assert calls[0] == calls[1]
    assert calls[0].count("UNLINK") == 1
