"""Owns the message: one class for Python, the API, imports and exports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack

import msgspec

from chat_memory.choices import DEVELOPER, STATES, Role, State
from chat_memory.exceptions import ValidationError
from chat_memory.records.attachment import named, ref_of
from chat_memory.records.openai import fit_call, fit_further, fit_name

Content = str | list[Any] | None
_INSTEAD_OF_CONTENT = ("function_call", "refusal", "audio")
"""The keys of an assistant message beside which OpenAI allows the content to be null."""


class MessageFields(TypedDict, total=False):
    """For type checkers: the fields of a Message beside role and content, as keyword arguments."""

    name: str | None
    metadata: dict[str, Any] | None
    id: str | None
    tool_calls: list[Any] | None
    tool_call_id: str | None
    seq: int | None
    created_at: datetime | None
    tokens: int | None
    content_absent: bool
    state: str
    extra: dict[str, Any] | None
    turn: int | None


class Message(msgspec.Struct, frozen=True):
    """One message of a conversation.

    Attributes:
        role: system, user, assistant, tool or function.
        content: text, a list of content parts, or None (only for an assistant message).
        name: the name of the author or of the tool.
        metadata: a JSON object for the application's own use.
        id: text of 1..512 characters, unique in the session; generated on append where the caller gives none.
        tool_calls: the tool calls of an assistant message, in the provider's format.
        tool_call_id: the id of the call that a tool message answers.
        seq: the position in the conversation, from 1; assigned on append.
        created_at: an aware time in UTC; the time of the append where the caller gives none.
        tokens: the number of tokens for budgets; computed by TOKEN_COUNTER where the caller gives none.
        content_absent: True if the source had no key ``content``, so that an export can leave it out again.
        state: complete; streaming (still being written); stopped, failed or abandoned (only the first part was written,
            because a user stopped it, an error ended it, or its writer is gone); or redacted (its text was removed).
        extra: the further fields of a provider's message, by their keys and unchanged: ``reasoning_content``,
            ``refusal``, ``audio``, ``annotations``, ``function_call`` and so on; None: nothing. A system message that
            came in OpenAI's newer role has ``{"role": "developer"}`` here.
        turn: the number of the turn it belongs to, from 1; 0 before the first question; assigned on append. None where
            the back end has no such numbers.
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
    extra: dict[str, Any] | None = None
    turn: int | None = None

    @classmethod
    def system(cls, content: Content, **fields: Unpack[MessageFields]) -> Message:
        """A system message; ``fields`` are further fields of Message."""
        return cls("system", content, **fields)

    @classmethod
    def user(cls, content: Content, **fields: Unpack[MessageFields]) -> Message:
        """A user message; ``fields`` are further fields of Message."""
        return cls("user", content, **fields)

    @classmethod
    def assistant(cls, content: Content = None, **fields: Unpack[MessageFields]) -> Message:
        """An assistant message; the content is None where the model gave none, as with most ``tool_calls``."""
        return cls("assistant", content, **fields)

    @classmethod
    def tool(cls, content: Content, **fields: Unpack[MessageFields]) -> Message:
        """The result of a tool call; the field ``tool_call_id`` is the id of that call."""
        return cls("tool", content, **fields)

    def to_dict(self) -> dict[str, Any]:
        """All fields that are set, in a fixed order, as JSON values; ``from_dict`` is the inverse.

        The keys of ``extra`` are beside those of the fields, as in the mapping they came from.
        """
        fields = (
            ("id", self.id),
            ("seq", self.seq),
            ("turn", self.turn),
            ("created_at", self.created_at and self.created_at.isoformat()),
            *self._openai_fields(),
            ("metadata", self.metadata),
            ("tokens", self.tokens),
            ("state", None if self.state == State.COMPLETE.value else self.state),
        )
        shown = {name: value for name, value in fields if value is not None or self._shows(name)}
        return shown | self.extra if self.extra else shown

    def to_openai(self, *, extra: bool = True) -> dict[str, Any]:
        """The message as OpenAI's chat API takes it, without id, position, time and metadata.

        Values that the API would refuse are made to fit. An empty list of tool calls is left out, and so is a name
        without an ASCII letter or digit; other characters of a name become ``_``. Calls as LangChain, Ollama or Mistral
        write them are converted to OpenAI's form, with arguments as text. A result with the id of its call gets the
        role tool, and a ``function_call`` without a name is left out. An empty list of parts becomes "", and so does an
        assistant's content of None if the message has nothing in its place. A part that refers to an attachment becomes
        a text that names it; call ``chat.attachments.resolve`` first to give a model the attachment itself.

        Args:
            extra: whether the keys of ``extra`` are included, for a provider that takes them back.
        """
        further = fit_further((self.extra or {}) if extra else {})
        shown = {name: value for name, value in self._openai_fields() if value is not None or self._shows(name)}
        # The role function is for the result of a function_call, which has no id.
        role = Role.TOOL.value if self.role == Role.FUNCTION.value and self.tool_call_id else self.role
        name = fit_name(self.name, role)
        shown |= {"role": role, "name": name} if name else {"role": role}
        unfit = {"name"} if not name else set()
        unfit |= {"tool_calls"} if not self.tool_calls else set()
        if self.tool_calls:
            shown["tool_calls"] = [fit_call(call) for call in self.tool_calls]
        if isinstance(self.content, list):
            parts = [part if (ref := ref_of(part)) is None else named(ref) for part in self.content]
            shown["content"] = parts or None
        if not self.content and not self.tool_calls and not any(map(further.get, _INSTEAD_OF_CONTENT)):
            shown["content"] = ""
        return {name: value for name, value in shown.items() if name not in unfit} | further

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
        """A message from a mapping as ``to_dict``, the API or an OpenAI client writes it.

        Unknown keys go into ``extra``, even one named ``extra``. OpenAI's role developer becomes system, and ``extra``
        has ``{"role": "developer"}``.

        Raises:
            ValidationError: ``data`` is not a mapping, the role is missing, the state is unknown, the time is naive, or
                a value has the wrong type; the error names the key.
        """
        if not isinstance(data, Mapping):
            raise ValidationError(f"a message must be an object, not {type(data).__name__}")
        fields = {name: data[name] for name in _WIRE_FIELDS if name in data}
        extra = {name: value for name, value in data.items() if name not in MESSAGE_KEYS}
        if fields.get("role") == DEVELOPER:
            fields["role"], extra["role"] = Role.SYSTEM.value, DEVELOPER
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
        absent = "content" not in data or (data.get("content_absent") is True and message.content is None)
        if moment is None and not absent and not extra:
            return message
        return msgspec.structs.replace(message, created_at=moment, content_absent=absent, extra=extra or None)


_WIRE_FIELDS = tuple(name for name in Message.__struct_fields__ if name not in ("content_absent", "extra"))
MESSAGE_KEYS = frozenset({*_WIRE_FIELDS, "content_absent"})
"""The keys of a message's fields in a mapping; every other key goes into ``extra``."""


def _reason(error: BaseException) -> str:
    return str(error).partition(" - at `")[0] if isinstance(error, msgspec.ValidationError) else "nested too deeply"


def _path(error: BaseException) -> str:
    return str(error).partition(" - at `$.")[2].rstrip("`")


def text_of(message: Message) -> str:
    """The text of a message, or the texts of its parts joined by newlines; "" if it has none."""
    if not isinstance(message.content, list):
        return message.content or ""
    texts = (part if isinstance(part, str) else _part_text(part) for part in message.content)
    return "\n".join(text for text in texts if text)


def _part_text(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


def check_aware(moment: datetime | None, field: str) -> None:
    """Check that a time has a time zone, because a naive time is ambiguous.

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
