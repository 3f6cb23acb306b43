"""What hostile or careless callers do to a conversation: a clear error or the right answer, nothing half-written."""

import copy
import enum
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import override_settings
from django.utils.safestring import mark_safe

from chat_memory import (
    Message,
    MessageConflict,
    SessionNotFound,
    TooLarge,
    ValidationError,
    VersionConflict,
    WindowTooSmall,
    append_many,
    conversation,
)
from chat_memory.models import Session
from chat_memory.records import Span
from chat_memory.storage.orm import creating, rows

pytestmark = pytest.mark.django_db(transaction=True)


class Speaker(str, enum.Enum):  # noqa: UP042  # not a StrEnum: its str() is not its value
    USER = "user"


def minus_five(_text: str) -> int:
    return -5


def test_refused_append_many_leaves_nothing_in_the_callers_transaction() -> None:
    """All or nothing, also where the caller catches the refusal and commits."""
    conversation("b").append(Message.user("old", id="x"))
    with transaction.atomic(), pytest.raises(MessageConflict):
        append_many({conversation("a"): [Message.user("new")], conversation("b"): [Message.user("other", id="x")]})
    assert conversation("a").session() is None
    assert conversation("b").count() == 1


def test_append_many_takes_one_back_end_however_it_was_named() -> None:
    chat = conversation("a")
    chat.append(Message.user("1"))
    row = Session.objects.get(key="a")
    receipts = append_many(
        {
            row.history(): (Message.user(text) for text in "23"),
            conversation("b", using="default"): [Message.user("1")],
            pickle.loads(pickle.dumps(conversation("c"))): [Message.user("1")],
        }
    )
    assert [receipt.last_seq for receipt in receipts.values()] == [3, 1, 1]


@pytest.mark.parametrize("batches", [None, [("a", [])], {"a": [Message.user("x")]}])
def test_append_many_of_no_mapping_is_refused(batches: Any) -> None:
    with pytest.raises(ValidationError):
        append_many(batches)


@pytest.mark.parametrize("messages", [Message.user("x"), None, "text"])
def test_append_many_of_no_messages_is_refused(messages: Any) -> None:
    with pytest.raises(ValidationError, match="messages"):
        append_many({conversation("a"): messages})
    assert conversation("a").session() is None


def test_subclasses_of_text_are_stored_as_text_and_retried_safely() -> None:
    """``render_to_string`` gives a SafeString, and an Enum is a role."""
    chat = conversation(mark_safe("k"), workspace=mark_safe("acme"), user=mark_safe("u"))
    said = Message(Speaker.USER, mark_safe("hi"), name=mark_safe("n"), id=mark_safe("1"))
    first = chat.append(said)
    assert type(first.messages[0].content) is str
    assert (first.messages[0].role, chat.append(said).replayed) == ("user", True)
    chat.update(title=mark_safe("t"), tags=[mark_safe("a")])
    assert chat.tail(1)[0].role == "user"


@pytest.mark.parametrize("value", [mark_safe("x"), Speaker.USER, {mark_safe("k"): 1}])
def test_subclasses_inside_json_are_named(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"metadata(\.a)?"):
        conversation("k").append(Message.user("x", metadata={"a": value}))


def unsaved() -> User:
    return User(pk=5, username="never saved")


@pytest.mark.parametrize("user", [lambda: Group(pk=1), unsaved, lambda: 7, object])
def test_nobody_but_a_stored_user_owns_a_conversation(user: Any) -> None:
    with pytest.raises(ValidationError, match="user"):
        conversation("k", user=user())


@pytest.mark.parametrize("version", [True, "1", b"1", [], 1.0, -1])
def test_if_version_is_a_whole_number(version: Any) -> None:
    with pytest.raises(ValidationError, match="if_version"):
        conversation("k").append(Message.user("x"), if_version=version)
    assert conversation("k").session() is None


def test_if_version_beyond_every_version_is_a_conflict() -> None:
    with pytest.raises(VersionConflict):
        conversation("k").append(Message.user("x"), if_version=2**70)


@pytest.mark.parametrize("span", [Span(last=-1), Span(first=2, last=1), Span(after="x"), None])  # type: ignore[arg-type]
def test_spans_that_make_no_sense_are_refused(span: Any) -> None:
    with pytest.raises(ValidationError):
        conversation("k").read(span)


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_times_no_zone_can_show_are_refused(moment: datetime) -> None:
    """Stored, they would break every later read on a connection in another zone."""
    with pytest.raises(ValidationError, match="created_at"):
        conversation("k").append(Message.user("x", created_at=moment))
    with pytest.raises(ValidationError, match="expires_at"):
        conversation("k").open(expires_at=moment)


@pytest.mark.parametrize("absent", ["yes", True])
def test_absent_content_has_no_content(absent: Any) -> None:
    with pytest.raises(ValidationError, match="content_absent"):
        conversation("k").append(Message("user", "x", content_absent=absent))


def test_r23_a_token_counter_that_cannot_count_loses_no_message() -> None:
    with override_settings(CHAT_MEMORY={"TOKEN_COUNTER": f"{__name__}.minus_five"}):
        chat = conversation("k")
        chat.append(Message.user("<|endoftext|>"))
        assert chat.edit(1, "x" * 40).tokens == 14
    assert [message.content for message in conversation("k").messages()] == ["x" * 40]


@pytest.mark.parametrize(
    "error",
    [
        ValidationError("wrong", field="a.b"),
        TooLarge("big", field="c"),
        MessageConflict("x"),
        VersionConflict(1, 2),
        WindowTooSmall(9, 3),
    ],
)
def test_errors_survive_a_task_queue(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda chat: pickle.loads(pickle.dumps(chat))])
def test_handles_survive_a_task_queue(copied: Any) -> None:
    chat = conversation("k", workspace="acme", user="u")
    chat.append(Message.user("x"))
    assert copied(chat).tail(1)[0].content == "x"


def test_a_session_deleted_while_it_is_made_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process makes the session and a third deletes it before the lock is ours: the append still stores."""
    lock, blind = rows.lock, [True]
    monkeypatch.setattr(creating, "lock", lambda alias, at: None if blind and blind.pop() else lock(alias, at))
    with transaction.atomic():  # where no single statement can do it
        assert conversation("k").append(Message.user("x")).first_seq == 1
    assert not blind


def test_a_row_of_a_deleted_session_writes_nowhere() -> None:
    """A handle made of a row never lands in a later session of the same name."""
    conversation("k", user="alice").append(Message.user("x"))
    row = Session.objects.select_related("workspace").get()
    conversation("k").delete()
    conversation("k", user="bob").append(Message.user("private"))
    handle = row.history()
    for write in (lambda: handle.append(Message.user("y")), lambda: handle.update(title="t"), handle.open):
        with pytest.raises(SessionNotFound):
            write()
    assert handle.delete() is False
    assert handle.messages() == []
    assert [message.content for message in conversation("k").messages()] == ["private"]
