"""How far a redaction reaches: odd parts, titles of copies, copies made meanwhile, and what a cleanup removes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chat_memory import Conversation, Message
from chat_memory.maintenance.retention import clean_up
from chat_memory.models import Session
from chat_memory.testing.providers import check_bedrock
from tests.conversations import chat as acme

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "my password is hunter2"


@pytest.mark.parametrize("kind", [["text"], {"a": 1}, None, 7])
def test_a_part_of_an_odd_type_is_redacted_too(chats, kind: Any) -> None:
    chat = chats()
    chat.append(Message.user([{"type": kind, "text": SECRET}]))
    assert SECRET not in repr(chat.redact(1))
    assert SECRET not in repr(chat.messages())


def test_parts_without_a_type_leave_a_part(chats) -> None:
    """Bedrock takes no text in place of a list of parts."""
    chat = chats()
    chat.append(*(Message(role, [{"text": SECRET}]) for role in ("user", "assistant", "user")))
    assert chat.redact(2).content == [{"text": "[redacted]"}]
    check_bedrock([{"role": message.role, "content": message.content} for message in chat.window(turns=5)])
    assert chat.redact(2) == chat.get(2)


def test_a_title_goes_with_a_copy_that_says_something_else(chats) -> None:
    chat = chats()
    chat.append(Message.user(SECRET, id="m"))
    draft = chat.fork("d", 0)
    draft.append(Message.system("x"))
    chat.merge("main", "d")
    draft.edit("m", "other")
    draft.redact("m")
    assert chat.session().title == ""
    assert SECRET not in repr(chat.messages())


def test_a_redaction_while_a_merge_copies_reaches_the_copy(chats, monkeypatch) -> None:
    """It commits after the merge has read the message, and before the copy is there."""
    chat = chats()
    chat.append(Message.user("a", id="a"))
    draft = chat.fork("d")
    draft.append(Message.user(SECRET, id="m"))
    read = Conversation._stored

    def slow(self: Conversation, span: Any) -> Any:
        messages = read(self, span)
        monkeypatch.setattr(Conversation, "_stored", read)
        draft.redact("m")
        return messages

    monkeypatch.setattr(Conversation, "_stored", slow)
    chat.merge("d", into="main")
    assert [message.content for message in chat.messages()] == ["a", "[redacted]"]


def test_a_title_goes_when_cleanup_removes_what_was_cleared() -> None:
    chat = acme()
    chat.append(Message.user(SECRET), Message.assistant("b"))
    chat.clear()
    chat.append(Message.user("later"))
    before = chat.session()
    Session.objects.update(cleared_at=datetime.now(UTC) - timedelta(days=400))
    assert clean_up(3650).cleared == 2
    after = chat.session()
    assert before
    assert after
    assert (after.title, after.version > before.version) == ("", True)
    assert "hunter2" not in repr([*Session.objects.values_list("title", flat=True)])
