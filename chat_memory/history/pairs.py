"""Owns what a provider accepts of messages: each call with its results directly behind it; pure.

Left out are calls without a result, results without a call, the second of two results of one call, and what is empty of
the assistant's. A result that came late is moved behind its call. Nothing that is stored changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from chat_memory.choices import Role
from chat_memory.records import Message, UnansweredCall
from chat_memory.rules import calls as rule
from chat_memory.rules.calls import Call, Key

_ASSISTANT, _SYSTEM = Role.ASSISTANT.value, Role.SYSTEM.value
_RESULTS = (Role.TOOL.value, Role.FUNCTION.value)
_SPOKEN = ("refusal", "audio", rule.LEGACY)
"""The keys of ``extra`` that stand in the place of an assistant's content."""
_THOUGHTS = ("thinking", "redacted_thinking", "reasoning")
_BEDROCK = frozenset(
    ("text", "image", "document", "video", "audio", "toolUse", "toolResult", "reasoningContent", "guardContent")
)
"""The keys of which a part of a content has one in Bedrock's form, where no part has a ``type``."""


def accepted(messages: Sequence[Message], *, pending: bool = False) -> list[Message]:
    """What of the messages a provider accepts, in the order in which it does.

    Args:
        messages: the newest of a conversation, oldest first. Some may be left out of them already, but no result of a
            call that is among them.
        pending: whether the newest calls stay without their results, where nothing but results is behind them.
    """
    if all(map(_is_plain, messages)):
        return list(messages)
    return _alternating(_Arrangement(messages).shown(pending=pending))


def unanswered(messages: Sequence[Message]) -> list[UnansweredCall]:
    """The calls among the messages that none of them answers, in their order."""
    results = _Arrangement(messages).results
    return [
        UnansweredCall(message.seq or 0, call.id, call.name)
        for index, message in enumerate(messages)
        for call in rule.calls(message)
        if call.key not in results.get(index, ())
    ]


class _Arrangement:
    """Which message answers which call: a result the nearest such call before it, if that has no result yet.

    ``results`` has, by the index of a message that calls, the indexes of the messages with the results, by call.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self.results: dict[int, dict[Key | None, int]] = {}
        calling: dict[Key, int] = {}
        for index, message in enumerate(messages):
            for key in rule.answers(message):
                if key in calling:
                    self.results.setdefault(calling[key], {}).setdefault(key, index)
            calling.update({call.key: index for call in rule.calls(message) if call.key})

    def shown(self, *, pending: bool) -> list[Message]:
        """The messages that a provider accepts."""
        shown: list[Message] = []
        last = self._last() if pending else None
        for index, message in enumerate(self._messages):
            if message.role == _ASSISTANT:
                results = self.results.get(index, {})
                said = _said(message, None if index == last else results)
                if not _is_empty(said):
                    shown += [said, *self._behind(results)]
            elif message.role not in _RESULTS:
                _add_rest(shown, message)
        return shown

    def _last(self) -> int | None:
        """The index of the newest message that is no result and no system message."""
        indexes = reversed(range(len(self._messages)))
        return next((index for index in indexes if not _comes_behind_calls(self._messages[index])), None)

    def _behind(self, results: dict[Key | None, int]) -> list[Message]:
        """The results of one message's calls; those that are parts of a content come in one message."""
        whole, parted = [], []
        for index in sorted(set(results.values())):
            message = self._messages[index]
            if rule.answer(message) in results:
                whole.append(message)
            else:
                parted.append(_results_in(message, {key for key, at in results.items() if at == index}))
        return [*whole, _one(parted)] if parted else whole


def _is_plain(message: Message) -> bool:
    """Whether a message is text alone, which no provider refuses."""
    content = message.content
    return (
        type(content) is str
        and not (content == "" or content.isspace())
        and message.tool_calls is None
        and message.extra is None
        and message.role not in _RESULTS
    )


def _comes_behind_calls(message: Message) -> bool:
    return message.role in (_SYSTEM, *_RESULTS) or rule.is_results_alone(message.content)


def _said(message: Message, answered: Collection[Key | None] | None) -> Message:
    """An assistant's message without those of its calls that are not answered, and each once; None: all are wanted."""
    wanted = {call.key for call in rule.calls(message)} if answered is None else {*answered}
    wanted.discard(None)
    fields: dict[str, Any] = {}
    if message.tool_calls is not None:
        fields["tool_calls"] = _without(message.tool_calls, rule.call_of, wanted) or None
    legacy = rule.legacy_call(message)
    if legacy is not None and legacy.key not in wanted:
        fields["extra"] = {name: value for name, value in (message.extra or {}).items() if name != rule.LEGACY} or None
    if isinstance(message.content, list):
        here = {rule.part_answer(part) for part in message.content} - {None}
        fields["content"] = _without(message.content, rule.part_call, wanted | here) or None
    return _changed(message, fields)


def _without(items: list[Any], call_of: Callable[[Any], Call | None], wanted: set[Key | None]) -> list[Any]:
    """The items but for calls that are not wanted, and for repeated ones."""
    left, kept = set(wanted), []
    for item in items:
        call = call_of(item)
        if call is None:
            kept.append(item)
        elif call.key in left:
            left.remove(call.key)
            kept.append(rule.with_text_id(item))
    return kept


def _results_in(message: Message, keys: set[Key | None]) -> Message:
    """The message with those of its parts alone that are the results of these calls, each once."""
    first: dict[Key | None, Any] = {}
    for part in message.content or ():
        first.setdefault(rule.part_answer(part), part)
    return _with_parts(message, [rule.with_text_id(part) for key, part in first.items() if key in keys])


def _add_rest(shown: list[Message], message: Message) -> None:
    """Add what of a message is no result; to its own results where those are right before it."""
    content = message.content
    if not isinstance(content, list) or not any(map(rule.is_result, content)):
        shown.append(message)
        return
    rest = [part for part in content if not rule.is_result(part)]
    if not rest:
        return
    said = _with_parts(message, rest)
    if shown and message.seq is not None and shown[-1].seq == message.seq:
        both = _one([shown.pop(), said])
        said = message if both.content == content else both
    shown.append(said)


def _alternating(messages: Sequence[Message]) -> list[Message]:
    """The messages, of which neighbours in the same role are one message where they are in Bedrock's form.

    Bedrock refuses two messages of one role in a row.
    """
    shown: list[Message] = []
    before: int | None = None
    for message in messages:
        said = message
        if message.role != _SYSTEM:
            if before is not None and shown[before].role == message.role:
                both = [shown[before], message]
                if all(map(_is_bedrock, both)):
                    said = _one(both)
                    shown.pop(before)
            before = len(shown)
        shown.append(said)
    return shown


def _is_bedrock(message: Message) -> bool:
    content = message.content
    return isinstance(content, list) and all("type" not in part and part.keys() & _BEDROCK for part in content)


def _is_empty(message: Message) -> bool:
    """Whether an assistant's message has neither words nor calls; thoughts alone are refused too."""
    content = message.content
    if message.tool_calls or any(map((message.extra or {}).get, _SPOKEN)):
        return False
    if isinstance(content, list):
        return all(map(_says_nothing, content))
    return not content or content.isspace()


def _says_nothing(part: dict[str, Any]) -> bool:
    text = part.get("text")
    if isinstance(text, str):
        return not text.strip()
    return part.get("type") in _THOUGHTS or "reasoningContent" in part


def _one(messages: Sequence[Message]) -> Message:
    """One message with the parts of several, at the position of the last."""
    if len(messages) == 1:
        return messages[0]
    parts = [part for message in messages for part in message.content or ()]
    return msgspec.structs.replace(messages[-1], content=parts, tokens=sum(message.tokens or 0 for message in messages))


def _with_parts(message: Message, parts: list[Any]) -> Message:
    """The message with some of its parts, and the share of its tokens that they have."""
    if parts == message.content:
        return message
    share, whole = len(msgspec.json.encode(parts)), len(msgspec.json.encode(message.content))
    tokens = None if message.tokens is None else min(message.tokens, message.tokens * share // whole)
    return msgspec.structs.replace(message, content=parts, tokens=tokens)


def _changed(message: Message, fields: dict[str, Any]) -> Message:
    """The message with other fields; itself where they are what it has."""
    if all(getattr(message, name) == value for name, value in fields.items()):
        return message
    return msgspec.structs.replace(message, **fields)
