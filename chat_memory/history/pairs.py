"""Owns the form of messages that a provider accepts: each call with its results directly behind it; pure.

Left out are calls without a result, results without a call, a second result of one call, empty messages and parts of
the assistant, and trailing white space where the list ends with an assistant's message. A late result is moved behind
its call. Stored messages are not changed. The input may have any size and shape, so the work must grow linearly with
the number of messages and parts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

import msgspec

from chat_memory.choices import Role
from chat_memory.history.cache_marks import with_few_marks
from chat_memory.history.served import Served
from chat_memory.records import Message, UnansweredCall
from chat_memory.rules import calls as rule
from chat_memory.rules.callers import Callers
from chat_memory.rules.calls import Call, Key

_ASSISTANT, _SYSTEM = Role.ASSISTANT.value, Role.SYSTEM.value
_RESULTS = (Role.TOOL.value, Role.FUNCTION.value)
_SPOKEN = ("refusal", "audio", rule.LEGACY)
"""The keys of ``extra`` that count as content of an assistant's message."""
_THOUGHTS = ("thinking", "redacted_thinking", "reasoning")
_MEDIA = ("text", "image", "document", "video", "audio", "guardContent", "citationsContent", "searchResult")
_BEDROCK = frozenset(
    {*_MEDIA, "toolUse", "toolResult", "reasoningContent", "cachePoint"}
    | {"functionCall", "functionResponse", "inlineData", "fileData", "executableCode", "codeExecutionResult"}
    | {"function_call", "function_response", "inline_data", "file_data", "executable_code", "code_execution_result"}
)
"""The keys of content parts in the forms of Bedrock and Gemini: a part has one of them, and no ``type``."""


def accepted(messages: Sequence[Message], *, pending: bool = False) -> list[Message]:
    """The messages in the form and the order that a provider accepts.

    Args:
        messages: the newest of a conversation, oldest first. Some may be missing, but no result of a call that is
            there.
        pending: whether the caller adds messages behind these. The newest calls are then kept without their results, if
            only results follow them, and trailing white space is kept.
    """
    plain = all(map(_is_plain, messages))
    shown = list(messages) if plain else _alternating(_Arrangement(messages).shown(pending=pending))
    shown = shown if plain else with_few_marks(shown)
    return shown if pending else _ended(shown)


def unanswered(messages: Sequence[Message]) -> list[UnansweredCall]:
    """The calls that have no result among the messages, in their order."""
    found = _Arrangement(messages)
    return [
        UnansweredCall(message.seq or 0, call.id, call.name, call.arguments)
        for index, message in enumerate(messages)
        for call in rule.calls(message)
        if call.key not in found.results.get(index, ()) and call.key not in found.served.calls.get(index, ())
    ]


class _Arrangement:
    """Which message answers which call: a result answers the nearest call with its key before it, if that has none yet.

    ``results`` maps the index of a message with calls to the index of the answering message of each call. ``served``
    has the calls whose results are in assistants' messages.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self.served = Served(messages)
        self._parted: dict[int, _Parted] = {}
        self.results: dict[int, dict[Key | None, int]] = {}
        callers = Callers()
        for index, message in enumerate(messages):
            for place in filter(None, map(callers.answered, rule.answers(message))):
                self.results.setdefault(place[0], {}).setdefault(place[1], index)
            callers.note(index, rule.calls(message))

    def shown(self, *, pending: bool) -> list[Message]:
        """The messages that a provider accepts."""
        shown: list[Message] = []
        last = self._last() if pending else None
        for index, message in enumerate(self._messages):
            if message.role == _ASSISTANT:
                wanted = self._wanted(index, is_last=index == last)
                results = {key: place for key, place in self.results.get(index, {}).items() if key in wanted}
                said = _said(message, wanted, self.served.results.get(index))
                if not _is_empty(said):
                    shown += [said, *self._behind(results, message.seq)]
            elif message.role not in _RESULTS:
                _add_rest(shown, message)
        return shown

    def _wanted(self, index: int, *, is_last: bool) -> set[Key | None]:
        """The calls of a message to show: the answered ones; all if it is the last one and the caller adds the results.

        If a message has both ``tool_calls`` and a ``function_call``, and one of the ``tool_calls`` is shown, the
        ``function_call`` is left out, because OpenAI wants the results of each directly behind the message.
        """
        message, served = self._messages[index], self.served.calls.get(index, set())
        answered = {call.key for call in rule.calls(message)} if is_last else {*self.results.get(index, ())}
        wanted = (answered | served) - {None}
        wanted |= self.served.running(index, message, wanted)
        legacy = rule.legacy_call(message) if message.tool_calls else None
        if legacy is not None and any(call.key in wanted for call in rule.tool_calls(message)):
            wanted.discard(legacy.key)
        return wanted

    def _last(self) -> int | None:
        """The index of the newest message that is neither a result nor a system message."""
        indexes = reversed(range(len(self._messages)))
        return next((index for index in indexes if not _comes_behind_calls(self._messages[index])), None)

    def _behind(self, results: dict[Key | None, int], seq: int | None) -> list[Message]:
        """The results of the calls of the message at ``seq``; those that are content parts become one message."""
        keys: dict[int, list[Key | None]] = {}
        for key, index in results.items():
            keys.setdefault(index, []).append(key)
        whole, parted = [], []
        for index in sorted(keys):
            message = self._messages[index]
            if rule.answer(message) is not None:
                whole.append(_naming(message, keys[index][0], seq))
            else:
                # One message may have the results of many messages' calls; its parts are indexed only once.
                parts = self._parted.setdefault(index, _Parted(message))
                parted.append(parts.results_of(keys[index]))
        return [*whole, _one(parted)] if parted else whole


class _Parted:
    """A message whose content parts are shown in several places."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self._is_begun = False

    def results_of(self, keys: Collection[Key | None]) -> Message:
        """The message with the results of these calls alone, each once."""
        parts = [self._results[key] for key in keys]
        return self._of([rule.with_text_id(part) for part in parts], parts)

    def rest(self) -> Message | None:
        """The message without its results and without blank texts; None if it has nothing else."""
        parts = [part for part in self._message.content or () if not _is_result_or_blank(part)]
        return self._of(parts, parts) if parts else None

    def _of(self, shown: list[Any], parts: list[Any]) -> Message:
        """The message with some of its parts, and their share of its tokens.

        Metadata and ``extra`` belong to the whole message: only the first message that is made of it has them.
        """
        if shown == self._message.content:
            return self._message
        tokens, is_first = self._message.tokens, not self._is_begun
        self._is_begun = True
        share = None if tokens is None else tokens * _size(parts) // self._whole
        whole = {} if is_first else {"metadata": None, "extra": None}
        return msgspec.structs.replace(self._message, content=shown, tokens=share, **whole)

    @cached_property
    def _results(self) -> dict[Key | None, Any]:
        results: dict[Key | None, Any] = {}
        parts = self._message.content or ()
        for key, part in zip(rule.part_answers(parts), parts, strict=True):
            results.setdefault(key, part)
        return results

    @cached_property
    def _whole(self) -> int:
        return _size(self._message.content)


def _size(parts: object) -> int:
    """The length of the parts as JSON, each with its comma, so that the sizes of pieces add up to that of the whole."""
    return len(msgspec.json.encode(parts)) - 1


def _is_result_or_blank(part: Any) -> bool:
    return rule.is_result(part) or (rule.says_nothing(part) and not rule.is_mark(part))


def _is_plain(message: Message) -> bool:
    """Whether a message is only text that is not blank, which every provider accepts."""
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


def _said(message: Message, wanted: set[Key | None], served: Collection[int] | None) -> Message:
    """An assistant's message with only the wanted calls, each once.

    Args:
        message: the message.
        wanted: the keys of the calls to show.
        served: the places of its results to show; None if it has no results.
    """
    fields: dict[str, Any] = {}
    called = rule.tool_calls(message)
    if message.tool_calls is not None:
        items = [_with_id(item, call.key, message.seq) for item, call in zip(message.tool_calls, called, strict=True)]
        fields["tool_calls"] = _without(items, called, wanted) or None
    legacy = rule.legacy_call(message)
    if legacy is not None and legacy.key not in wanted:
        fields["extra"] = {name: value for name, value in (message.extra or {}).items() if name != rule.LEGACY} or None
    if isinstance(message.content, list):
        parts = message.content
        if served is not None:
            parts = [part for place, part in enumerate(parts) if place in served or not rule.is_result(part)]
        parts = _without(parts, rule.part_calls(parts), wanted - {call.key for call in called})
        fields["content"] = _worded(parts, ends=not fields.get("tool_calls")) or None
    return _changed(message, fields)


def _with_id(item: Any, key: Key | None, seq: int | None) -> Any:
    """A call; one that goes by order with an id, which OpenAI demands and Ollama takes."""
    return {**item, "id": rule.made_id(key, seq)} if key and key[0] == rule.BY_ORDER else item


def _naming(result: Message, key: Key | None, seq: int | None) -> Message:
    """A message that is the result of a call; with the call's id where it has none."""
    if key is None or rule.answer(result) == key or result.role == Role.FUNCTION.value:
        return result
    return msgspec.structs.replace(result, tool_call_id=rule.made_id(key, seq) if key[0] == rule.BY_ORDER else key[1])


def _without(items: Sequence[Any], called: Sequence[Call | None], wanted: set[Key | None]) -> list[Any]:
    """The items without unwanted and repeated calls; ``called``: the call that each item is, or None."""
    left, kept = set(wanted), []
    for item, call in zip(items, called, strict=True):
        if call is None:
            kept.append(item)
        elif call.key in left:
            left.remove(call.key)
            kept.append(rule.with_text_id(item))
    return kept


def _worded(parts: list[Any], *, ends: bool) -> list[Any]:
    """An assistant's parts without blank texts; if they end the message, also without thoughts at the end.

    A cache mark behind such thoughts, or without any other part, is left out too.
    """
    kept = [part for part in parts if rule.is_mark(part) or not rule.says_nothing(part)]
    said = [place for place, part in enumerate(kept) if not (_is_thought(part) or rule.is_mark(part))]
    end = said[-1] + 1 if said else 0
    return kept[:end] if ends and (not said or any(map(_is_thought, kept[end:]))) else kept


def _add_rest(shown: list[Message], message: Message) -> None:
    """Add a message without its results; merge it into its own results if they are directly before it."""
    content = message.content
    if not isinstance(content, list) or not any(map(rule.is_result, content)):
        shown.append(message)
        return
    said = _Parted(message).rest()
    if said is None:
        return
    if shown and message.seq is not None and shown[-1].seq == message.seq:
        both = _one([shown.pop(), said])
        said = message if both.content == content else both
    elif all(map(rule.says_nothing, said.content or ())):
        return
    shown.append(said)


def _alternating(messages: Sequence[Message]) -> list[Message]:
    """The messages; if some are in the form of Bedrock or Gemini, neighbours in one role are merged, texts as parts.

    Both take content only as parts, and refuse some messages of one role in a row.
    """
    if not any(message.content and _is_bedrock(message) for message in messages):
        return list(messages)
    shown: list[Message | None] = list(messages)
    for places in _neighbours(messages):
        for place in places:
            shown[place] = None
        shown[places[-1]] = _one([messages[place] for place in places])
    return [message for message in shown if message is not None]


def _ended(shown: list[Message]) -> list[Message]:
    """The messages, without white space at the end of a last assistant's message, because Anthropic refuses it."""
    last = next((place for place in range(len(shown) - 1, -1, -1) if shown[place].role != _SYSTEM), None)
    if last is None or shown[last].role != _ASSISTANT:
        return shown
    content = shown[last].content
    if isinstance(content, str) and content[-1:].isspace():
        shown[last] = msgspec.structs.replace(shown[last], content=content.rstrip())
    elif isinstance(content, list) and content and _is_text(content[-1]) and content[-1]["text"][-1:].isspace():
        end = {**content[-1], "text": content[-1]["text"].rstrip()}
        shown[last] = msgspec.structs.replace(shown[last], content=[*content[:-1], end])
    return shown


def _neighbours(messages: Sequence[Message]) -> Iterator[list[int]]:
    """Runs of messages of one role, by index, that fit Bedrock's form; system messages between them are ignored."""
    said = [index for index, message in enumerate(messages) if message.role != _SYSTEM]
    fitting = {index for index in said if _is_plain(messages[index]) or _is_bedrock(messages[index])}
    for (_role, fits), places in groupby(said, lambda index: (messages[index].role, index in fitting)):
        if fits:
            yield list(places)


def _is_bedrock(message: Message) -> bool:
    content = message.content
    return isinstance(content, list) and all(map(_is_of_bedrock, content))


def _is_of_bedrock(part: dict[str, Any]) -> bool:
    return (
        "type" not in part
        and not rule.KINDS.keys() & part
        and any(isinstance(part[key], str | dict) for key in part.keys() & _BEDROCK)
    )


def _is_empty(message: Message) -> bool:
    """Whether an assistant's message has neither words nor calls; thoughts alone are refused too."""
    content = message.content
    if message.tool_calls or any(map((message.extra or {}).get, _SPOKEN)):
        return False
    return not content or (isinstance(content, str) and content.isspace())


def _is_text(part: dict[str, Any]) -> bool:
    return isinstance(part.get("text"), str) and part.get("type") in rule.TEXTS and not rule.is_call(part)


def _is_thought(part: dict[str, Any]) -> bool:
    return part.get("type") in _THOUGHTS or "reasoningContent" in part


def _one(messages: Sequence[Message]) -> Message:
    """One message with the parts of several, at the position of the last."""
    if len(messages) == 1 and not isinstance(messages[0].content, str):
        return messages[0]
    parts = [part for message in messages for part in _parts(message)]
    return msgspec.structs.replace(messages[-1], content=parts, tokens=sum(message.tokens or 0 for message in messages))


def _parts(message: Message) -> Sequence[dict[str, Any]]:
    content = message.content
    return [{"text": content}] if isinstance(content, str) else content or ()


def _changed(message: Message, fields: dict[str, Any]) -> Message:
    """The message with these fields replaced; the same object if nothing changes."""
    if all(getattr(message, name) == value for name, value in fields.items()):
        return message
    return msgspec.structs.replace(message, **fields)
