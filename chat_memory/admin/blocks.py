"""Owns how a stored message is divided into blocks for a page: text, JSON, links and tool calls, all bounded in size.

A message is untrusted input: its parts, calls and names may be many or long. Texts are cut before they are parsed, at
most ``PARTS`` parts and ``PARTS`` calls are shown one by one, and names are shortened.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext

from chat_memory.admin.json_text import pretty
from chat_memory.choices import Role
from chat_memory.records import Ref, ref_of
from chat_memory.rules.calls import is_result
from chat_memory.rules.inline import Inline, without_inline

PARTS = 50
"""At most this many parts, and this many calls, of one message are shown one by one."""
LONGEST_NAME = 200
"""At most this many characters of a name, or of a part's type, are shown."""
LONGEST_LINK = 2_000
"""An address with more characters is shown as text, not as a link."""
OPEN_LINES, OPEN_TEXT = 20, 4_000
"""JSON with more lines or more characters starts folded."""

_BETWEEN = ", \t\r\n"
"""The characters between two elements of a JSON list."""
_TEXT_PARTS = ("text", "input_text", "output_text")
_IMAGE_PARTS = ("image_url", "input_image")
_LINK = re.compile(r"https?://[^\s\x00-\x1f]+", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}")


class Block(msgspec.Struct, frozen=True):
    """One piece of a message's content.

    Attributes:
        kind: ``text``, ``json``, ``link`` (``text`` is the address), ``note`` (a remark by the page) or ``more`` (the
            remark that something is left out).
        text: the text to show.
        label: a heading for the block; "" for plain text.
        cut: the number of characters left out at the end.
    """

    kind: str
    text: str
    label: str = ""
    cut: int = 0

    @property
    def lines(self) -> int:
        """The number of lines in the text."""
        return self.text.count("\n") + 1

    @property
    def is_short(self) -> bool:
        """Whether the block is small enough to start unfolded."""
        return len(self.text) <= OPEN_TEXT and self.lines <= OPEN_LINES


class Call(msgspec.Struct, frozen=True):
    """A tool call: its id in the conversation, the tool's name and the arguments."""

    id: str
    name: str
    arguments: Block

    @property
    def shown_id(self) -> str:
        """The beginning of the id, which may be as long as a message."""
        return shortened(self.id)


class Room:
    """The number of characters of a message that a page still has room for; None: no limit.

    Args:
        left: the number of characters.
        whole: whether to show elements beyond the first ``PARTS`` too, as JSON, as far as they fit.
    """

    def __init__(self, left: int | None = None, *, whole: bool = False) -> None:
        self._left = left
        self.is_whole = whole or left is None

    def fit(self, block: Block) -> Block:
        """The block, cut to the room that is left, and subtract its length; JSON is indented if it still fits then."""
        left = len(block.text) if self._left is None else self._left
        if len(block.text) > left:
            shown = msgspec.structs.replace(block, text=block.text[:left], cut=len(block.text) - left)
        elif block.kind == "json":
            indented = pretty(block.text)
            fits = self._left is None or len(indented) <= left
            shown = msgspec.structs.replace(block, text=indented) if fits else block
        else:
            shown = block
        if self._left is not None:
            self._left = max(0, left - len(shown.text))
        return shown


def content_blocks(role: str, content: str | None, parts: str | None, room: Room) -> list[Block]:
    """The content of a message, from its columns, as blocks that fit into ``room``."""
    if parts is not None:
        return _parts(parts, room)
    if not content:
        return [Block("note", gettext("empty"))]
    if role in {Role.TOOL.value, Role.FUNCTION.value} and content.lstrip()[:1] in {"{", "["}:
        return [room.fit(Block("json", content, gettext("Result")))]
    return [room.fit(Block("text", content))]


def calls(text: str | None, room: Room) -> tuple[list[Call], Block | None]:
    """The first ``PARTS`` tool calls of a message, and a block about the others; None where there are no others."""
    if not text:
        return [], None
    elements = _elements(text)
    if elements is None:
        return [_call(msgspec.Raw(text), room)], None
    number = elements.number - PARTS
    shown_calls = [_call(element, room) for element in elements.first]
    return shown_calls, _others(ngettext("{number} more call", "{number} more calls", number), elements, room)


def _parts(text: str, room: Room) -> list[Block]:
    elements = _elements(text)
    if elements is None:
        return [room.fit(Block("text", text))] if text != "null" else []
    blocks = [room.fit(_part(element)) for element in elements.first]
    number = elements.number - PARTS
    others = _others(ngettext("{number} more part", "{number} more parts", number), elements, room)
    return [*blocks, others] if others else blocks


class _Elements(NamedTuple):
    """The first elements of a JSON list, undecoded, the number of all, and the text behind the first ones."""

    first: list[msgspec.Raw]
    number: int
    rest: str


def _elements(text: str) -> _Elements | None:
    """The elements of a JSON list; None where the text is not a JSON list."""
    try:
        elements = msgspec.json.decode(text, type=list[msgspec.Raw])
    except (ValueError, RecursionError):
        return None
    first = [msgspec.Raw(bytes(element)) for element in elements[:PARTS]]
    end = text.index("[") + 1
    for element in first:
        # Between two elements there are only spaces and commas, so the next occurrence of the text is the element.
        shown = bytes(element).decode()
        end = text.index(shown, end) + len(shown)
    return _Elements(first, len(elements), text[end:])


def _others(name: str, elements: _Elements, room: Room) -> Block | None:
    """A block about the elements beyond the first ``PARTS``: their number, and their JSON on the message's own page."""
    number = elements.number - PARTS
    if number <= 0:
        return None
    title = name.format(number=number_format(number))
    if not room.is_whole:
        return Block("more", title)
    return room.fit(Block("json", f"[{elements.rest.lstrip(_BETWEEN)}", title))


def _part(element: msgspec.Raw) -> Block:
    """A content part as text, an image link, or a note about inline data; any other part is shown as JSON."""
    part = _value(element)
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in _TEXT_PARTS and isinstance(part.get("text"), str):
        return Block("text", part["text"])
    ref = ref_of(part)
    if ref is not None:
        return _attached(ref)
    text, inline = _without_inline(part)
    if len(inline) == 1 and not is_result(part):
        return Block("note", _note(inline[0]))
    if kind in _IMAGE_PARTS:
        image = part.get("image_url")
        address = image.get("url") if isinstance(image, dict) else image
        if isinstance(address, str):
            return _image(address)
    shown = msgspec.json.encode(text).decode() if inline else bytes(element).decode()
    return Block("json", shown, _name(kind) or gettext("Part"))


def _without_inline(part: Any) -> tuple[Any, list[Inline]]:
    """The part with a note in place of each inline picture, sound or file, and the list of those."""
    try:
        return without_inline(part, _note)
    except RecursionError:
        return part, []


def _note(inline: Inline) -> str:
    """The note that stands for inline data: its type and size."""
    size = number_format(inline.size)
    known = _MEDIA_TYPE.fullmatch(inline.media_type) or inline.media_type.isalnum()
    kind = inline.media_type if known and len(inline.media_type) <= LONGEST_NAME else gettext("unknown type")
    texts = {
        "image": gettext("inline image ({kind}, {size} characters)"),
        "audio": gettext("inline audio ({kind}, {size} characters)"),
        "video": gettext("inline video ({kind}, {size} characters)"),
        "file": gettext("inline file ({kind}, {size} characters)"),
    }
    return texts[inline.kind].format(kind=kind, size=size)


def _attached(ref: Ref) -> Block:
    """The target of a reference: an address as a link or text, stored bytes by their name, type and hash."""
    label = {"image_ref": gettext("Image"), "audio_ref": gettext("Sound")}.get(ref.kind, gettext("File"))
    if ref.url:
        is_link = len(ref.url) <= LONGEST_LINK and _LINK.fullmatch(ref.url)
        return Block("link" if is_link else "text", ref.url, label)
    kind = ref.media_type if _MEDIA_TYPE.fullmatch(ref.media_type) else gettext("unknown type")
    said = gettext("attached: {name} ({kind}, SHA-256 {hash})")
    return Block("note", said.format(name=shortened(ref.name) or label, kind=kind, hash=ref.sha256))


def _image(address: str) -> Block:
    """An image part as a link, never fetched by the page; only http and https addresses become links."""
    is_link = len(address) <= LONGEST_LINK and _LINK.fullmatch(address)
    return Block("link" if is_link else "text", address, gettext("Image"))


def _call(element: msgspec.Raw, room: Room) -> Call:
    """A tool call, nested below ``function`` or flat; a call without known arguments is shown as JSON."""
    call = _value(element)
    outer = call if isinstance(call, dict) else {}
    inner = outer["function"] if isinstance(outer.get("function"), dict) else outer
    value = next((inner[name] for name in ("arguments", "args", "input") if name in inner), element)
    arguments = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    identity = outer.get("id")
    return Call(
        id=identity if isinstance(identity, str) else _name(identity),
        name=_name(inner.get("name")) or gettext("tool call"),
        arguments=room.fit(Block("json", arguments, gettext("Arguments"))),
    )


def _value(element: msgspec.Raw) -> Any:
    """The decoded JSON value; None where it cannot be decoded."""
    try:
        return msgspec.json.decode(element)
    except (ValueError, RecursionError):
        return None


def _name(value: Any) -> str:
    """A name as short text; a message may hold any JSON value in its place. "" where there is none."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode() if value else ""
    return shortened(text)


def shortened(text: str) -> str:
    """The first characters of a name; Django's filter would normalize all of it, in quadratic time."""
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"
