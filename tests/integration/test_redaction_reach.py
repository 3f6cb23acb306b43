"""How far a redaction reaches: odd parts, titles, copies, older exports, and what a cleanup removes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chat_memory import Conversation, Message
from chat_memory.maintenance.retention import clean_up
from chat_memory.models import Session
from chat_memory.testing.providers import check_bedrock
from tests.acceptance.command_line import run
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


def test_r55_an_export_from_before_brings_nothing_back_to_a_copy(tmp_path: Path) -> None:
    """The copy knows of the redaction by the message alone: who redacted it, and when, is in no export."""
    chat = acme("k", "acme")
    chat.append(Message.user(SECRET, id="q"), Message.assistant("a"), Message.user("b"))
    chat.fork("draft", at=2).append(Message.user("c"), Message.user("d"))
    for branch, keep in (("main", 1), ("draft", 2)):
        acme(branch=branch).summarize(lambda _messages: f"the user says: {SECRET}", keep=keep)
    chat.feedback.give("q", 1, by="u", comment=SECRET)
    before, after = str(tmp_path / "before.jsonl"), str(tmp_path / "after.jsonl")
    run("export", before, "--workspace", "acme")
    chat.redact("q")
    acme(branch="draft").summarize(lambda _messages: "they greet", keep=1)
    run("export", after, "--workspace", "acme")
    for path in (after, before, before):
        run("import", path, "--workspace", "copy")
    kept = [acme("k", "copy", branch=branch) for branch in ("main", "draft")]
    assert [[summary.text for summary in each.summaries()] for each in kept] == [[], ["they greet"]]
    assert SECRET not in repr([(each.messages(), each.session(), each.feedback.entries()) for each in kept])


def test_a_title_that_was_made_of_a_branch_goes_with_its_message_in_a_copy_too(tmp_path: Path) -> None:
    chat = acme("k", "acme")
    chat.append(Message.system("s"))
    chat.fork("draft").append(Message.user(SECRET, id="q"))
    run("export", str(tmp_path / "all.jsonl"), "--workspace", "acme")
    run("import", str(tmp_path / "all.jsonl"), "--workspace", "copy")
    copy = acme("k", "copy", branch="draft")
    titles = [copy.open().title]
    copy.redact("q")
    assert [*titles, copy.open().title] == [SECRET, ""]


@pytest.mark.parametrize("is_current", [False, True])
def test_a_title_goes_with_the_branch_it_was_made_of(chats, is_current: bool) -> None:
    chat = chats()
    chat.append(Message.system("s"))
    chat.fork("draft").append(Message.user(SECRET))
    if is_current:
        chat.switch("draft")
    before = chats(branch="main").session()
    assert before.title == SECRET
    assert chats(branch="draft").delete()
    after = chats().session()
    assert (after.title, after.branch, after.version > before.version) == ("", "main", True)


def test_a_title_stays_where_another_branch_begins_alike(chats) -> None:
    chat = chats()
    chat.append(Message.user("Rome?"), Message.assistant("a"))
    asked = chat.edit_and_branch(1, "Rome?")
    assert chats(branch=asked.branch).delete()
    assert chats().session().title == "Rome?"
