"""Owns where content has pictures, sound, videos and files inline, in the forms that providers have for it; pure.

Inline is a data URL, and base64 under a key that providers use for it: OpenAI's ``image_url``, ``input_audio`` and
``file``, Anthropic's ``source``, Bedrock's ``bytes``, Gemini's ``inline_data``; in the results of tool calls too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

DATA_KEYS = frozenset(("data", "bytes", "file_data", "b64_json", "image", "audio", "video", "file"))
"""The keys that hold base64."""
_MEDIA_KEYS = ("media_type", "mime_type", "mimeType", "mediaType", "format")
_ARGUMENTS = frozenset(("input", "arguments", "args"))
"""What a model has written as the arguments of a call; all of it is text to it."""
_KINDS = ("image", "audio", "video")
_NO_MEDIA = ("text", "redacted_thinking")
_BASE64 = re.compile(r"[A-Za-z0-9+/_=\r\n-]+")
LOOKED_AT = 256
"""How many characters of a text tell whether it is base64."""
SURE = 64
"""So many of them tell it without a media type beside them."""


class Inline(NamedTuple):
    """Something inline: image, audio, video or file; its media type, "" where none is given; characters of its data."""

    kind: str
    media_type: str
    size: int


def without_inline(value: Any, instead: Callable[[Inline], str] = lambda _: "") -> tuple[Any, list[Inline]]:
    """A JSON value with a text instead of all that is inline in it, and what that was."""
    found: list[Inline] = []

    def replaced(inline: Inline) -> str:
        found.append(inline)
        return instead(inline)

    return _walk(value, (), replaced), found


def _walk(value: Any, names: tuple[str, ...], replaced: Callable[[Inline], str]) -> Any:
    """The value, of which ``names`` are the keys above it."""
    if isinstance(value, list):
        return [_walk(each, names, replaced) for each in value]
    if not isinstance(value, dict):
        return value
    own: dict[str, Any] = {}
    for name, each in value.items():
        if isinstance(each, str):
            inline = _inline(value, name, each, names)
            own[name] = replaced(inline) if inline else each
        else:
            own[name] = each if name in _ARGUMENTS else _walk(each, (*names[-2:], name), replaced)
    return own


def _inline(holder: Mapping[str, Any], name: str, text: str, names: tuple[str, ...]) -> Inline | None:
    if name == "text":
        return None
    if text[:5].lower() == "data:":
        head, comma, _data = text[:LOOKED_AT].partition(",")
        if not comma:
            return None
        media_type = head[5:].partition(";")[0]
        return Inline(_kind(media_type, holder, name, names), media_type, len(text) - len(head) - 1)
    if name not in DATA_KEYS or holder.get("type") in _NO_MEDIA or not _BASE64.fullmatch(text[:LOOKED_AT]):
        return None
    media_type = next((media for key in _MEDIA_KEYS if isinstance(media := holder.get(key), str)), "")
    if len(text) < SURE and not media_type and name not in ("bytes", "file_data"):
        return None
    return Inline(_kind(media_type, holder, name, names), media_type, len(text))


def _kind(media_type: str, holder: Mapping[str, Any], name: str, names: tuple[str, ...]) -> str:
    """What is inline, by its media type, else by the nearest name that tells."""
    hints = (media_type, name, str(holder.get("type")), *reversed(names))
    return next((kind for hint in hints for kind in _KINDS if kind in hint.lower()), "file")
