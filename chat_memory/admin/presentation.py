"""Owns how a stored message becomes what a page shows: text, pretty JSON, links; it must not query or write markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from django.utils.timezone import localtime
from django.utils.translation import gettext

from chat_memory.choices import Role, State
from chat_memory.models import Message
from chat_memory.models.audit import Revision

SHOWN = 20_000
"""How many characters of one text the transcript shows; the message's own page shows all."""
OPEN_LINES = 20
"""Longer JSON starts folded."""

_ESCAPES = re.compile(r"(\\\\)|((?:\\u[0-9a-fA-F]{4})+)")
_TEXT_PARTS = ("text", "input_text", "output_text")
_IMAGE_PARTS = ("image_url", "input_image")
_LINKS = re.compile(r"https?://[^\s\x00-\x1f]+\Z", re.IGNORECASE)
_INLINE = re.compile(r"data:([\w.+-]+/[\w.+-]+)?[^,]*,")


class Block(msgspec.Struct, frozen=True):
    """One piece of what a message says.

    Attributes:
        kind: ``text``, ``json``, ``link`` (``text`` is the address) or ``note`` (said by the page, not the message).
        text: what to show.
        label: what it is, where that is not plain.
        cut: how many characters are left out.
    """

    kind: str
    text: str
    label: str = ""
    cut: int = 0

    @property
    def lines(self) -> int:
        """How many lines the text has."""
        return self.text.count("\n") + 1

    @property
    def is_short(self) -> bool:
        """Whether it may start unfolded."""
        return self.lines <= OPEN_LINES


class Call(msgspec.Struct, frozen=True):
    """A tool call: its id in the conversation, the tool's name and what it was asked."""

    id: str
    name: str
    arguments: Block


class Former(msgspec.Struct, frozen=True):
    """What a message said until ``edited_at``."""

    edited_at: datetime
    blocks: list[Block]


class Entry(msgspec.Struct, frozen=True):
    """One message as a page shows it.

    Attributes:
        row: the stored message, for position, time and role.
        name: who speaks: the message's name, or that of the tool whose call it answers.
        blocks: what it says.
        calls: which tools it calls.
        answers: the position of the call it answers, where the page shows that.
        metadata: its metadata, None where there is none.
        state: how far it has come, "" when complete.
        former: what it said before its edits, newest first.
        day: the date, where the message is the first of its day on the page.
    """

    row: Message
    name: str
    blocks: list[Block]
    calls: list[Call]
    answers: int | None
    metadata: Block | None
    state: str
    former: list[Former]
    day: date | None


def entries_of(rows: Sequence[Message], former: Iterable[Revision] = ()) -> list[Entry]:
    """The messages of a page; a tool's result finds its call where the same page has it."""
    callers: dict[str, tuple[str, int]] = {}
    edited: dict[int, list[Revision]] = {}
    for revision in former:
        edited.setdefault(revision.seq, []).append(revision)
    entries: list[Entry] = []
    day: date | None = None
    for row in rows:
        today = localtime(row.created_at).date()
        entry = entry_of(row, callers, edited.get(row.seq, ()), day=None if today == day else today)
        callers |= {call.id: (call.name, row.seq) for call in entry.calls if call.id}
        entries.append(entry)
        day = today
    return entries


def entry_of(
    row: Message,
    callers: dict[str, tuple[str, int]] | None = None,
    former: Iterable[Revision] = (),
    *,
    day: date | None = None,
    whole: bool = False,
) -> Entry:
    """One message; ``callers`` gives name and position of the calls seen so far, ``whole`` leaves nothing out."""
    tool, answers = (callers or {}).get(row.tool_call_id or "", ("", None))
    size = None if whole else SHOWN
    return Entry(
        row=row,
        name=row.name or tool,
        blocks=[_cut(block, size) for block in _blocks(row)],
        calls=[Call(call.id, call.name, _cut(call.arguments, size)) for call in _calls(row.tool_calls)],
        answers=answers,
        metadata=Block("json", pretty(row.metadata)) if row.metadata else None,
        state="" if row.state == State.COMPLETE.value else row.get_state_display(),
        former=[
            Former(said.edited_at, [_cut(block, size) for block in _said(row.role, said.content, said.parts)])
            for said in former
        ],
        day=day,
    )


def pretty(text: str) -> str:
    """JSON indented, with key order and numbers as they came and other scripts readable; other text as it is."""
    try:
        formatted = msgspec.json.format(text, indent=2)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return text
    return readable(formatted)


def readable(text: str) -> str:
    r"""JSON text with ``\u00e9`` as é, where that changes nothing but the looks."""
    return _ESCAPES.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return match[0]
    text: str = json.loads(f'"{match[2]}"')
    return text if text.isprintable() and not {'"', "\\"} & set(text) else match[0]


def _blocks(row: Message) -> Iterable[Block]:
    if row.tool_calls and row.parts is None and not row.content:
        return []
    return _said(row.role, row.content, row.parts)


def _said(role: str, content: str | None, parts: str | None) -> Iterator[Block]:
    if parts is not None:
        yield from _parts(parts)
    elif content and role in {Role.TOOL.value, Role.FUNCTION.value} and content.lstrip()[:1] in {"{", "["}:
        yield Block("json", pretty(content), gettext("Result"))
    elif content:
        yield Block("text", content)
    else:
        yield Block("note", gettext("empty"))


def _parts(text: str) -> Iterable[Block]:
    try:
        parts = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return [Block("text", text)]
    return [_part(part) for part in parts] if isinstance(parts, list) else []


def _part(part: Any) -> Block:
    """A content part as OpenAI and others write them; of an unknown one the JSON."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in _TEXT_PARTS and isinstance(part.get("text"), str):
        return Block("text", part["text"])
    if kind in _IMAGE_PARTS:
        image = part.get("image_url")
        address = image.get("url") if isinstance(image, dict) else image
        if isinstance(address, str):
            return _image(address)
    return Block("json", pretty(msgspec.json.encode(part).decode()), str(kind or gettext("Part")))


def _image(address: str) -> Block:
    """A link where the address is one; an image is never fetched, and no other scheme becomes a link."""
    inline = _INLINE.match(address)
    if inline:
        size = len(address) - inline.end()
        kind = inline[1] or gettext("unknown type")
        return Block("note", gettext("inline image ({kind}, {size} characters)").format(kind=kind, size=size))
    return Block("link" if _LINKS.match(address) else "text", address, gettext("Image"))


def _calls(text: str | None) -> Iterator[Call]:
    """Tool calls as OpenAI writes them, or flat with ``args``, ``input`` or ``arguments``."""
    try:
        calls = msgspec.json.decode(text) if text else []
    except (msgspec.DecodeError, RecursionError):
        calls = [text]
    for call in calls if isinstance(calls, list) else [calls]:
        outer = call if isinstance(call, dict) else {}
        inner = outer["function"] if isinstance(outer.get("function"), dict) else outer
        found = [inner[name] for name in ("arguments", "args", "input") if name in inner]
        given = found[0] if found else call
        arguments = given if isinstance(given, str) else msgspec.json.encode(given).decode()
        name = str(inner.get("name") or gettext("tool call"))
        yield Call(str(outer.get("id") or ""), name, Block("json", pretty(arguments), gettext("Arguments")))


def _cut(block: Block, size: int | None) -> Block:
    if size is None or len(block.text) <= size or block.kind == "link":
        return block
    return msgspec.structs.replace(block, text=block.text[:size], cut=len(block.text) - size)
