"""Owns the message: one class for Python, the API, imports and exports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from chat_memory.choices import STATES, State
from chat_memory.exceptions import ValidationError

Content = str | list[Any] | None


class Message(msgspec.Struct, frozen=True):
    """One message of a conversation.

    Attributes:
        role: system, user, assistant, tool or function.
        content: text, a list of content parts, or None (only for an assistant message with tool calls).
        name: the name of the author or of the tool.
        metadata: a JSON object for the application's own use.
        id: text of 1..128 characters, unique in the session; generated on append where the caller gives none.
        tool_calls: the tool calls of an assistant message, in the provider's format.
        tool_call_id: the id of the call that a tool message answers.
        seq: the position in the conversation, from 1; assigned on append.
        created_at: an aware time in UTC; the time of the append where the caller gives none.
        tokens: the number of tokens for budgets; computed by TOKEN_COUNTER where the caller gives none.
        content_absent: True if the source had no key ``content``, so that an export can leave it out again.
        state: complete, streaming (still being written) or failed (writing was broken off).
    """

    role: str
    content: Content = None
    name: str | None = None
    metadata: dict[str, Any] | None = None
    id: str | None = None
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None
    seq: int | None = None
    created_at: datetime | None = None
    tokens: int | None = None
    content_absent: bool = False
    state: str = State.COMPLETE.value

    @classmethod
    def system(cls, content: Content, **fields: Any) -> Message:
        """A system message; ``fields`` are further fields of Message."""
        return cls("system", content, **fields)

    @classmethod
    def user(cls, content: Content, **fields: Any) -> Message:
        """A user message; ``fields`` are further fields of Message."""
        return cls("user", content, **fields)

    @classmethod
    def assistant(cls, content: Content = None, **fields: Any) -> Message:
        """An assistant message; the content may be None if ``tool_calls`` is given."""
        return cls("assistant", content, **fields)

    @classmethod
    def tool(cls, content: Content, *, tool_call_id: str | None = None, **fields: Any) -> Message:
        """The result of a tool call; ``tool_call_id`` is the id of that call."""
        return cls("tool", content, tool_call_id=tool_call_id, **fields)

    def to_dict(self) -> dict[str, Any]:
        """All fields that are set, in a fixed order, as JSON values; ``from_dict`` is the inverse."""
        fields = (
            ("id", self.id),
            ("seq", self.seq),
            ("created_at", self.created_at and self.created_at.isoformat()),
            *self._openai_fields(),
            ("metadata", self.metadata),
            ("tokens", self.tokens),
            ("state", None if self.state == State.COMPLETE.value else self.state),
        )
        return {name: value for name, value in fields if value is not None or self._shows(name)}

    def to_openai(self) -> dict[str, Any]:
        """The message in the format of OpenAI's chat API, without id, position, time and metadata."""
        return {name: value for name, value in self._openai_fields() if value is not None or self._shows(name)}

    def _openai_fields(self) -> tuple[tuple[str, Any], ...]:
        return (
            ("role", self.role),
            ("content", self.content),
            ("name", self.name),
            ("tool_calls", self.tool_calls),
            ("tool_call_id", self.tool_call_id),
        )

    def _shows(self, name: str) -> bool:
        return name == "content" and not self.content_absent

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Message:
        """A message from a mapping as ``to_dict`` or an OpenAI client writes it; unknown keys are ignored.

        Raises:
            ValidationError: ``data`` is not a mapping, the role is missing, the state is unknown, the time is naive, or
                a value has the wrong type; the error names the key.
        """
        if not isinstance(data, Mapping):
            raise ValidationError(f"a message must be an object, not {type(data).__name__}")
        fields = {name: data[name] for name in _WIRE_FIELDS if name in data}
        try:
            message = msgspec.convert(fields, cls)
            check_aware(message.created_at, "created_at")
            moment = as_utc(message.created_at)
        except OverflowError:
            raise ValidationError("is out of range in UTC", field="created_at") from None
        except (msgspec.ValidationError, RecursionError) as error:
            raise ValidationError(_reason(error), field=_path(error)) from None
        if message.state not in STATES:
            raise ValidationError(f"{message.state[:40]!a} is not one of {', '.join(sorted(STATES))}", field="state")
        absent = "content" not in data
        if moment is None and not absent:
            return message
        return msgspec.structs.replace(message, created_at=moment, content_absent=absent)


_WIRE_FIELDS = tuple(name for name in Message.__struct_fields__ if name != "content_absent")


def _reason(error: BaseException) -> str:
    return str(error).partition(" - at `")[0] if isinstance(error, msgspec.ValidationError) else "nested too deeply"


def _path(error: BaseException) -> str:
    return str(error).partition(" - at `$.")[2].rstrip("`")


def check_aware(moment: datetime | None, field: str) -> None:
    """Check that a time has a time zone: nobody can tell which moment a naive time means.

    Raises:
        ValidationError: the time is naive.
    """
    if moment is not None and moment.tzinfo is None:
        raise ValidationError(
            f"must be an aware datetime, with an offset such as +00:00, not the naive {moment.isoformat()}", field=field
        )


def as_utc(moment: datetime | None) -> datetime | None:
    """The same time as aware UTC; a naive time counts as UTC. None stays None.

    Raises:
        OverflowError: the time is outside the range of datetime in UTC.
    """
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
