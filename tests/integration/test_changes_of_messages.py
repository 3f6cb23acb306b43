"""A message is changed in part, redacted, taken off, read alone: over Django's models and the memory of a process."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Model

from chat_memory import (
    BranchInUse,
    Message,
    MessageNotFound,
    MessageRedacted,
    NotSupported,
    ValidationError,
    VersionConflict,
    conversation,
    signals,
)
from chat_memory.maintenance import integrity
from chat_memory.models import Message as MessageRow, Redaction, Revision, Session, Summary, Workspace
from chat_memory.storage.redis import RedisAdapter
from chat_memory.storage.tenancy import across_workspaces
from chat_memory.testing.conformance.kit import at_once
from tests.conversations import all_contents, chat as acme, say_with_ids
from tests.rollback import undone
from tests.toy_notes.models import MessageNote, removals

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "my password is hunter2"
TABLES: tuple[type[Model], ...] = (Session, MessageRow, Revision, Summary, Redaction, Workspace)


def dumped() -> str:
    """Whatever the tables hold, as text."""
    with across_workspaces(), connection.cursor() as cursor:
        rows = []
        for model in TABLES:
            cursor.execute(f"SELECT * FROM {model._meta.db_table}")  # noqa: S608  # our own tables
            rows += cursor.fetchall()
    return str(rows)


def test_r55_a_redaction_leaves_nothing_in_the_tables() -> None:
    """Nor in what was made of the message: title, former texts, summaries, the copy that a merge has made."""
    chat = acme()
    chat.append(
        Message.user(SECRET, id="q", name=SECRET, metadata={"x": SECRET}, extra={"audio": {"id": SECRET}}),
        Message.assistant("a"),
    )
    chat.edit("q", f"{SECRET}!")
    draft = chat.fork("draft")
    draft.append(Message.user(f"{SECRET}?", id="d"))
    chat.merge("draft", "main")
    chat.summarize(lambda _messages: f"the user says: {SECRET}", keep=1)
    draft.summarize(lambda _messages: f"the user says: {SECRET}", keep=0)
    assert SECRET in dumped()
    who = get_user_model().objects.create_user("ada")
    assert [chat.redact("q", by=who).content, draft.redact(3).content] == ["[redacted]"] * 2
    assert SECRET not in dumped()
    assert all_contents(chat) == ["[redacted]", "a", "[redacted]"]
    assert [message.state for message in draft.messages()] == ["redacted", "complete", "redacted"]
    with across_workspaces():
        noted = [(row.session.branch, row.seq, row.by) for row in Redaction.objects.order_by("pk")]
    assert noted[0] == ("main", 1, str(who.pk))
    assert sorted(noted[1:]) == [("draft", 3, ""), ("main", 3, "")]


def test_r55_a_context_shows_no_summary_of_what_was_redacted(chats) -> None:
    chat = chats()
    say_with_ids("a", "b", "c", "d", to=chat)
    chat.summarize(lambda messages: "/".join(str(message.content) for message in messages), keep=1)
    assert "a/b/c" in str(chat.context(turns=1)[0].content)
    chat.redact("b")
    assert chat.summaries() == []
    assert [message.content for message in chat.context(turns=4)] == ["a", "[redacted]", "c", "d"]
    made = chat.summarize(lambda messages: "/".join(str(message.content) for message in messages), keep=1)
    assert made is not None
    assert made.text == "a/[redacted]/c"


@pytest.mark.parametrize("place", [1, "q"])
def test_r55_a_retry_of_a_redacted_message_brings_nothing_back(chats, place: Any) -> None:
    chat = chats()
    said = Message.user(SECRET, id="q")
    chat.append(said)
    done = chat.redact(place)
    for again in (said, Message.user("something else", id="q")):
        receipt = chats().append(again)
        assert (receipt.replayed, receipt.messages) == (True, (done,))
    with pytest.raises(MessageRedacted):
        chat.edit("q", SECRET)
    with pytest.raises(MessageRedacted):
        chat.edit("q", extra={"usage": {}})
    assert chat.redact("q") == done
    assert all_contents(chat) == ["[redacted]"]


def test_r55_a_window_with_redacted_calls_is_accepted(chats) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": f'"{SECRET}"'}}
    chat = chats()
    chat.append(
        Message.user("q"),
        Message.assistant(tool_calls=[call]),
        Message.tool(SECRET, tool_call_id="c1"),
        Message.assistant("a"),
    )
    for seq in (2, 3):
        chat.redact(seq)
    shown = [message.to_openai() for message in chat.window(turns=1)]
    assert [message.get("tool_call_id") for message in shown] == [None, None, "c1", None]
    assert shown[1]["tool_calls"][0]["function"] == {"name": "find", "arguments": "{}"}
    assert SECRET not in str(shown)


def test_f5_an_edit_takes_what_was_said_out_of_the_title(chats) -> None:
    chat = chats()
    chat.append(Message.user(SECRET), Message.assistant("r"))
    chat.edit(1, "hello there")
    assert chat.session().title == "hello there"
    chat.redact(1)
    assert chat.session().title == ""
    chat.append(Message.user("next"))
    assert chat.session().title == ""


def test_f5_an_edit_takes_what_was_said_out_of_summaries(chats) -> None:
    chat = chats()
    say_with_ids("secret", "b", "c", to=chat)
    chat.summarize(lambda _messages: "secret", keep=1)
    chat.edit("secret", metadata={"seen": True})
    assert [summary.text for summary in chat.summaries()] == ["secret"]
    chat.edit("secret", "a")
    assert chat.summaries() == []


def test_a_usage_that_comes_later_is_added(chats) -> None:
    chat = chats()
    chat.append(Message.user("q"), Message.assistant("a", id="a", tokens=77, metadata={"z": 1}, extra={"x": 1}))
    edited = async_to_sync(chat.aedit)("a", metadata={"cost": 0.25}, extra={"usage": {"total_tokens": 9}})
    assert (edited.content, edited.metadata, edited.extra) == (
        "a",
        {"cost": 0.25},
        {"x": 1, "usage": {"total_tokens": 9}},
    )
    assert edited.tokens == 77
    assert (float(chat.usage().recorded_cost), chat.revisions("a")) == (0.25, [])
    assert chat.messages()[1] == edited
    assert chat.edit("a", metadata=None, extra={}).metadata is None
    assert chat.edit("a", extra=None).extra is None
    assert chat.edit(2, "A", extra={"usage": {}}).tokens != 77
    assert [former.content for former in chat.revisions(2)] == ["a"]


def test_r6_tokens_of_what_is_noted_later_are_counted(chats) -> None:
    """Of what a model is sent; a number that the caller gave stays the caller's."""
    chat = chats()
    chat.append(Message.user("q"), Message.assistant("a", id="a"), Message.assistant("b", id="b", tokens=77))
    without = chat.get("a").tokens
    noted = chat.edit("a", extra={"reasoning_content": "why " * 1000})
    assert noted.tokens > without + 1000
    assert chat.edit("a", metadata={"seen": True}).tokens == noted.tokens
    assert chat.edit("a", extra=None).tokens == without
    assert chat.edit("b", extra={"reasoning_content": "why " * 1000}).tokens == 77


def test_an_edit_keeps_the_newer_role(chats) -> None:
    chat = chats()
    chat.append(Message.from_dict({"role": "developer", "content": "x", "y": 1}))
    assert chat.edit(1, extra=None).to_dict()["role"] == "developer"


def test_an_edit_of_nothing_changes_nothing(chats) -> None:
    chat = chats()
    say_with_ids("a", to=chat)
    before = chat.session()
    assert chat.edit(1).content == chat.edit(1, "a").content == "a"
    assert (chat.session(), chat.revisions(1)) == (before, [])


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"metadata": "x"}, "metadata"),
        ({"extra": "x"}, "extra"),
        ({"extra": []}, "extra"),
        ({"extra": {"role": "user"}}, "extra"),
        ({"metadata": {"a": float("nan")}}, "metadata.a"),
        ({"if_version": -1}, "if_version"),
    ],
)
def test_an_edit_refuses_what_an_append_would_refuse(chats, given: dict[str, Any], field: str) -> None:
    chat = chats()
    say_with_ids("a", to=chat)
    before = chat.session()
    with pytest.raises(ValidationError) as caught:
        chat.edit(1, **given)
    assert (caught.value.field, chat.session()) == (field, before)


@pytest.mark.parametrize("place", [None, 1.0, True, b"a", -1])
def test_a_place_is_a_position_or_an_id(chats, place: Any) -> None:
    chat = chats()
    say_with_ids("a", to=chat)
    for call in (chat.edit, chat.redact, chat.get, chat.revisions):
        with pytest.raises(ValidationError, match="seq"):
            call(place)


@pytest.mark.parametrize("place", [0, 3, "z", "a\x00", "\ud800"])
def test_what_is_not_there_is_told_apart(chats, place: Any) -> None:
    chat = chats()
    say_with_ids("a", "b", to=chat)
    assert (chat.get(place), chat.revisions(place)) == (None, [])
    for call in (lambda: chat.edit(place, "x"), lambda: chat.redact(place)):
        with pytest.raises(MessageNotFound) as caught:
            call()
        named = (caught.value.seq, caught.value.message_id)
        assert named == ((None, place) if isinstance(place, str) else (place, None))


def test_one_message_is_read_alone(chats) -> None:
    chat = chats()
    assert chat.get(1) is None
    say_with_ids("a", "1", "c", to=chat)
    stored = chat.messages()
    assert [chat.get(2), chat.get("1"), async_to_sync(chat.aget)("a")] == [stored[1], stored[1], stored[0]]
    draft = chat.fork("draft", at=1)
    say_with_ids("d", to=draft)
    assert [draft.get("d"), draft.get("1"), chat.get("d")] == [draft.messages()[1], None, None]
    chat.clear()
    assert [chat.get(1), chat.get("a")] == [None, None]


@pytest.mark.parametrize("verb", ["edit", "redact", "update"])
def test_a_change_of_another_version_is_refused(chats, verb: str) -> None:
    chat = chats()
    say_with_ids("a", to=chat)
    calls: dict[str, Any] = {
        "edit": lambda version: chat.edit(1, "b", if_version=version),
        "redact": lambda version: chat.redact(1, if_version=version),
        "update": lambda version: async_to_sync(chat.aupdate)(title="t", if_version=version),
    }
    before = chat.session()
    for version in (before.version + 1, 0):
        with pytest.raises(VersionConflict) as caught:
            calls[verb](version)
        assert (caught.value.expected, caught.value.actual) == (version, before.version)
    assert chat.session() == before
    calls[verb](before.version)
    assert chat.session().version == before.version + 1


def test_pop_gives_the_newest_message_back(chats) -> None:
    chat = chats()
    assert chat.pop() is None
    chat.append(Message.user("q", id="q", metadata={"a": [1]}), Message.assistant("a", id="a", extra={"x": None}))
    stored = chat.messages()
    assert [chat.pop(), async_to_sync(chat.apop)(), chat.pop()] == [stored[1], stored[0], None]
    record = chat.session()
    assert (record.title, record.message_count, record.last_seq, record.last_turn) == ("", 0, 0, 0)
    assert [branch.name for branch in chat.branches()] == ["main"]
    receipt = chat.append(Message.user("again", id="q"))
    assert (receipt.first_seq, receipt.replayed, chat.session().title) == (1, False, "again")


def test_pop_on_a_branch_leaves_what_the_others_show(chats) -> None:
    chat = chats()
    say_with_ids("a", "b", to=chat)
    chat.fork("draft")
    chat.switch("draft")
    say_with_ids("c", to=chat)
    main = chats(branch="main")
    assert [chat.pop().id, chat.pop().id] == ["c", "b"]
    assert (all_contents(chat), all_contents(main)) == (["a"], ["a", "b"])
    assert main.pop().id == "b"
    with pytest.raises(BranchInUse) as caught:
        main.pop()
    assert (caught.value.branch, caught.value.others) == ("main", ("draft",))
    say_with_ids("d", to=chat)
    assert (all_contents(chats()), all_contents(main)) == (["a", "d"], ["a"])


@pytest.mark.parametrize("verb", ["edit", "redact", "pop"])
def test_a_change_that_is_rolled_back_has_not_been(verb: str) -> None:
    chat = acme()
    chat.append(Message.user("q"), Message.user("r"))
    chat.summarize(lambda _messages: "sum", keep=0)
    before = (chat.messages(), chat.session(), chat.summaries())
    with undone():
        {"edit": lambda: chat.edit(1, "x"), "redact": lambda: chat.redact(1), "pop": chat.pop}[verb]()
        assert (chat.messages(), chat.session()) != before[:2]
    assert (chat.messages(), chat.session(), chat.summaries()) == before


@pytest.mark.parametrize("verb", ["redact", "pop"])
def test_a_change_is_told_once(chats, verb: str) -> None:
    heard: list[dict[str, Any]] = []

    def hear(signal: Any, sender: Any, **told: Any) -> None:
        heard.append(told)

    chat = chats()
    say_with_ids("a", "b", to=chat)
    draft = chat.fork("draft", at=1)
    signal = {"redact": signals.message_redacted, "pop": signals.message_popped}[verb]
    signal.connect(hear)
    try:
        draft.redact(1) if verb == "redact" else chat.pop()
        draft.redact(1)
    finally:
        signal.disconnect(hear)
    (told,) = heard
    branch, seq = {"redact": ("draft", 1), "pop": ("main", 2)}[verb]
    assert (told["branch"], told["seq"], told["key"]) == (branch, seq, "k")
    assert told["version"] > 1


@pytest.mark.parametrize("nested", [False, True])
def test_what_a_host_hangs_on_a_message_goes_with_a_pop(nested: bool) -> None:
    """Also where the message goes by one statement; where nothing hangs on it, nobody is told."""
    chat = acme()
    say_with_ids("a", "b", "c", to=chat)
    row = Session.objects.get(workspace__slug="acme", key="k")
    MessageNote.objects.create(session_id=row.pk, seq=2, text="on b")
    removals.clear()
    for _ in range(2):
        if nested:
            with transaction.atomic():
                chat.pop()
        else:
            chat.pop()
    assert MessageNote.objects.count() == 0
    assert ("default", ["on b"]) in removals
    assert all_contents(chat) == ["a"]


@pytest.mark.postgresql
def test_two_poppers_never_get_one_message() -> None:
    """Each in its own transaction, on a handle of its own; none is lost either."""
    for number in range(8):
        say_with_ids(*"abcdef", to=acme(f"k{number}"))
        found = at_once(*[lambda key=f"k{number}": [acme(key).pop(), acme(key).pop()]] * 2)
        assert sorted(str(message and message.id) for each in found for message in each) == ["c", "d", "e", "f"]
        assert all_contents(acme(f"k{number}")) == ["a", "b"]


def test_a_back_end_without_edits_pops_all_the_same(redis_client) -> None:
    chat = conversation("k", "acme", adapter=RedisAdapter(redis_client))
    say_with_ids("a", "b", to=chat)
    for call in (lambda: chat.redact(1), lambda: chat.edit(1, "x")):
        with pytest.raises(NotSupported, match="cannot edit messages"):
            call()
    popped, left = chat.pop(), chat.get("a")
    assert popped is not None
    assert left is not None
    assert (popped.id, left.id, chat.get(2)) == ("b", "a", None)


def test_counters_hold_after_pops_and_redactions() -> None:
    """As ``chat_memory_check`` sees them, on branches that share less than before too."""
    chat = acme()
    chat.append(Message.user("a"), Message.assistant("r"), Message.user("b"))
    chat.fork("draft")
    draft = acme(branch="draft")
    for _ in range(2):
        draft.pop()
    draft.append(Message.user("x"), Message.system("s"))
    draft.fork("leaf").pop()
    chat.clear()
    chat.append(Message.user("c"), Message.user("d"))
    chat.redact(4)
    chat.pop()
    draft.pop()
    report = integrity.check()
    assert (report.violations, report.faults) == (0, ())
