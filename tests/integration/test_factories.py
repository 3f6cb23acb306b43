"""The factories that ship: rows as production makes them."""

from datetime import UTC, datetime

import pytest

from chat_memory import Message, conversation
from chat_memory.models import Message as MessageRow, Session, Workspace
from chat_memory.testing.factories import (
    MessageFactory,
    SessionFactory,
    UserFactory,
    WorkspaceFactory,
    WorkspaceMemberFactory,
)

pytestmark = pytest.mark.django_db

OLD = datetime(2020, 1, 1, tzinfo=UTC)


def test_messages_are_numbered_and_counted() -> None:
    session = SessionFactory.create()
    first = MessageFactory.create(session=session)
    second = MessageFactory.create(session=session, role="assistant", content="Hello!")
    assert (first.seq, second.seq) == (1, 2)
    assert (session.last_seq, session.message_count, session.version, session.last_turn) == (2, 2, 3, 1)
    assert [message.content for message in session.history().messages()] == [first.content, "Hello!"]
    assert first.workspace_id == session.workspace_id


def test_message_takes_what_a_message_holds() -> None:
    parts = [{"type": "text", "text": "x"}]
    row = MessageFactory.create(content=parts, metadata={"a": 1}, client_id="mine", created_at=OLD, state="failed")
    assert (row.client_id, row.created_at, row.state) == ("mine", OLD, "failed")
    (message,) = row.session.history().messages()
    assert (message.content, message.metadata, message.id) == (parts, {"a": 1}, "mine")


def test_session_is_one_that_a_conversation_finds() -> None:
    session = SessionFactory.create(title="T", tags=["a"], user_key="bob", workspace__slug="acme", key="k")
    chat = conversation("k", "acme")
    record = chat.session()
    assert record is not None
    assert (record.id, record.title, record.tags, record.user_key) == (session.pk, "T", ["a"], "bob")
    assert chat.append(Message.user("x")).first_seq == 1


def test_session_may_be_old() -> None:
    session = SessionFactory.create(updated_at=OLD, created_at=OLD, deleted_at=OLD)
    assert (session.updated_at, session.created_at, session.deleted_at) == (OLD, OLD, OLD)
    assert (session.active_at, session.listed_at) == (OLD, OLD)
    idle = SessionFactory.create(active_at=OLD)
    assert (idle.active_at, idle.listed_at) == (OLD, OLD)
    assert idle.created_at > OLD


def test_session_of_a_user() -> None:
    user = UserFactory.create()
    session = SessionFactory.create(user=user)
    assert (session.user, session.user_key) == (user, str(user.pk))
    assert SessionFactory.create(user=user, user_key="other").user_key == "other"
    assert SessionFactory.create(user=None).user is None


def test_member_is_a_user_of_a_workspace() -> None:
    member = WorkspaceMemberFactory.create(role="admin")
    assert list(Workspace.objects.filter(members__user=member.user)) == [member.workspace]
    assert member.role == "admin"


def test_every_object_is_another() -> None:
    assert len({workspace.pk for workspace in WorkspaceFactory.create_batch(3)}) == 3
    assert len({session.key for session in SessionFactory.create_batch(3)}) == 3
    assert len({message.session_id for message in MessageFactory.create_batch(3)}) == 3


def test_building_stores_nothing() -> None:
    built = MessageFactory.build(content=[{"type": "text"}], metadata={"a": 1})
    assert (built.content, built.parts, built.metadata) == (None, '[{"type":"text"}]', '{"a":1}')
    assert SessionFactory.build().key.startswith("session-")
    assert (MessageRow.objects.count(), Session.objects.count(), Workspace.objects.count()) == (0, 0, 0)
