"""Owns the one table of a session's and a message's fields; rows, API, export and settable fields derive from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from chat_memory.choices import MAIN_BRANCH, State


class SessionField(NamedTuple):
    """One field of a session.

    Attributes:
        name: the name in the record, and of the column.
        kind: the Python type of the values; a datetime field may also be None.
        empty: returns the default value; None where a field has no default.
        settable: whether callers may set it through ``update`` and ``open``.
        of_branch: whether each branch has its own value; otherwise the whole conversation has one.
    """

    name: str
    kind: type
    empty: Callable[[], Any] | None = None
    settable: bool = False
    of_branch: bool = False


def _nothing() -> None:
    """Return None, the empty value of a datetime field."""


SESSION = (
    SessionField("key", str),
    SessionField("branch", str, lambda: MAIN_BRANCH, of_branch=True),
    SessionField("user_key", str, str),
    SessionField("title", str, str, settable=True),
    SessionField("tags", list, list, settable=True),
    SessionField("metadata", dict, dict, settable=True),
    SessionField("pinned", bool, bool, settable=True),
    SessionField("archived_at", datetime, _nothing, settable=True),
    SessionField("expires_at", datetime, _nothing, settable=True),
    SessionField("message_count", int, int, of_branch=True),
    SessionField("version", int, int, of_branch=True),
    SessionField("vtoken", int, int, of_branch=True),
    SessionField("last_seq", int, int, of_branch=True),
    SessionField("base_seq", int, int, of_branch=True),
    SessionField("last_turn", int, int, of_branch=True),
    SessionField("created_at", datetime),
    SessionField("updated_at", datetime),
    SessionField("active_at", datetime),
    SessionField("deleted_at", datetime, _nothing),
    SessionField("title_made", bool, bool),
    SessionField("key_from_client", bool, bool),
)
SESSION_BY_NAME: Mapping[str, SessionField] = {field.name: field for field in SESSION}
SETTABLE = tuple(field.name for field in SESSION if field.settable)
"""The session fields that callers may set."""
OPENABLE = frozenset({*SETTABLE, "created_at", "base_seq", "key_from_client"})
"""The fields a session may be created with.

An import also passes its age and the last position that was cleared; the API passes whether a client chose the key."""
OF_BRANCH = tuple(field.name for field in SESSION if field.of_branch)
"""The session fields that have a separate value on each branch."""
COUNTERS = tuple(field.name for field in SESSION if field.of_branch and field.kind is int)
"""The session fields that are counters of a branch."""
MOMENTS = tuple(field.name for field in SESSION if field.kind is datetime)
"""The session fields that hold a time."""
FLAGS = tuple(field.name for field in SESSION if field.kind is bool)
"""The session fields that hold a truth value."""
SETTABLE_MOMENTS = tuple(name for name in MOMENTS if SESSION_BY_NAME[name].settable)
"""The times that callers may set."""


def empty_session() -> dict[str, Any]:
    """The default values of all settable session fields; lists and dicts are new objects on each call."""
    return {field.name: field.empty() for field in SESSION if field.settable and field.empty}


class MessageField(NamedTuple):
    """One field of a message.

    Attributes:
        name: the name in the record, and in the API.
        columns: the columns of the row; where there are several, the type of the value decides which one holds it.
        json: whether the column holds JSON as text.
        given: whether a client may set it by its name; otherwise the server sets it, or it holds the unknown
            keys (``extra``).
        identity: whether a retry must repeat the same value.
        empty: the default value, which most messages have.
    """

    name: str
    columns: tuple[str, ...]
    json: bool = False
    given: bool = True
    identity: bool = True
    empty: Any = None


MESSAGE = (
    MessageField("id", ("client_id",), identity=False),
    MessageField("seq", ("seq",), given=False, identity=False),
    MessageField("turn", ("turn",), given=False, identity=False),
    MessageField("role", ("role",)),
    MessageField("content", ("content", "parts")),
    MessageField("name", ("name",)),
    MessageField("tool_calls", ("tool_calls",), json=True),
    MessageField("tool_call_id", ("tool_call_id",)),
    MessageField("metadata", ("metadata",), json=True),
    MessageField("extra", ("extra",), json=True, given=False),
    MessageField("tokens", ("tokens",), given=False, identity=False),
    MessageField("created_at", ("created_at",), given=False, identity=False),
    MessageField("state", ("state",), given=False, identity=False, empty=State.COMPLETE.value),
)
GIVEN = tuple(field.name for field in MESSAGE if field.given)
"""The message fields a client may set by name; the server sets position, time, token count and state."""
IDENTITY = tuple(field.name for field in MESSAGE if field.identity)
"""The message fields that must be equal in a retry; the time and the token count may differ between attempts."""
PLACE = ("seq", "turn")
"""The message fields for the place in the conversation, which the store assigns."""
MESSAGE_COLUMNS = tuple(column for field in MESSAGE if field.name not in PLACE for column in field.columns)
"""The columns whose values come from the message itself, in the order that every statement uses."""
PLAIN_COLUMNS = ("client_id", "role", "content", "tokens", "created_at", "state")
"""The columns that a plain text message needs; a statement for such messages may omit the others."""
