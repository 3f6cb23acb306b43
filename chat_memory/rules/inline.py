"""Owns finding pictures, sound, videos and files that are inline in content, in the forms of providers; pure.

Inline data is a data URL; base64, alone or in a list, under a key that providers and frameworks use for it, or under
any other key with a media type beside it; or bytes as numbers, as JavaScript writes them. Results of tool calls are
searched too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

DATA_KEYS = frozenset(
    {"data", "bytes", "blob", "file_data", "fileData", "image", "audio", "video", "file", "source", "input_audio"}
    | {"images", "audios", "videos", "files", "image_data", "audio_data"}
)
"""The keys that hold base64; those with "base64" or "b64" in their names do too."""
_LIKELY = re.compile(
    r"image|audio|video|screenshot|photo|picture|thumbnail|^(?:data|bytes|blob|ur[il]|png|jpe?g|gif|webp|bmp|pdf|docx|xlsx"
    r"|pptx|zip|wav|mp[34]|ogg|opus|flac|webm)$",
    re.IGNORECASE,
)
"""Keys that hold base64 if their text is long, such as ``screenshot``, or ``url`` where a provider takes it without
``data:``; Jupyter's media types as keys do too."""
SEALED = frozenset(
    {"signature", "thoughtSignature", "thought_signature", "thinking_signature"}
    | {"encrypted_content", "encryptedContent", "redactedContent", "redacted_content"}
)
"""The keys of signatures and encrypted content of a model's thoughts, which only the provider can read."""
_SEALED_THOUGHTS = "redacted_thinking"
"""The type of a part that has encrypted thoughts as its ``data``."""
_BASE64_NAMES = ("base64", "b64")
_GENERATED = "image_generation_call"
"""The type of an item of OpenAI's Responses that has a picture as its ``result``."""
_MEDIA_KEYS = ("media_type", "mime_type", "mimeType", "mediaType", "contentType", "format")
_ARGUMENTS = frozenset(("input", "arguments", "args"))
"""The keys of a call's arguments, which a model has written and reads as text."""
_KINDS = ("image", "audio", "video")
_NO_MEDIA = ("text", _SEALED_THOUGHTS)
_BASE64 = re.compile(r"[A-Za-z0-9+/_=\r\n-]+")
_MEDIA_TYPE = re.compile(r"(?:image|audio|video|application)/", re.IGNORECASE)
LOOKED_AT = 256
"""The characters from the beginning of a text that decide whether it is base64."""
SURE = 64
"""The length from which a text is taken for base64 without a media type beside it."""
_BYTE = 256


class Inline(NamedTuple):
    """Inline data: its kind (image, audio, video, file), its media type or "", and its size in characters."""

    kind: str
    media_type: str
    size: int


def without_inline(value: Any, instead: Callable[[Inline], str] = lambda _: "") -> tuple[Any, list[Inline]]:
    """A JSON value with a text in place of each piece of inline data, and the list of these pieces."""
    found: list[Inline] = []

    def replaced(inline: Inline) -> str:
        found.append(inline)
        return instead(inline)

    return _walk(value, (), replaced), found


def without_sealed(value: Any, longest: int) -> tuple[Any, int]:
    """A JSON value without what is sealed in it and has more than so many characters, and how many those are."""
    if isinstance(value, list):
        each = [without_sealed(one, longest) for one in value]
        return [left for left, _number in each], sum(number for _left, number in each)
    if not isinstance(value, dict):
        return value, 0
    own, number = {}, 0
    for name, inner in value.items():
        if isinstance(inner, str) and len(inner) > longest and _is_sealed(value, name):
            own[name], number = "", number + 1
        else:
            own[name], within = without_sealed(inner, longest)
            number += within
    return own, number


def _is_sealed(holder: Mapping[str, Any], name: str) -> bool:
    return name in SEALED or (name == "data" and holder.get("type") == _SEALED_THOUGHTS)


def _walk(value: Any, names: tuple[str, ...], replaced: Callable[[Inline], str]) -> Any:
    """The value without inline data; ``names``: the keys that lead to it."""
    if isinstance(value, list):
        return [_walk(each, names, replaced) for each in value]
    if not isinstance(value, dict):
        return value
    own: dict[str, Any] = {}
    for name, each in value.items():
        if isinstance(each, str):
            own[name] = _instead(value, name, each, names, replaced)
        elif name in _ARGUMENTS:
            own[name] = each
        elif name in DATA_KEYS and _are_bytes(each):
            own[name] = replaced(Inline(_kind(_media_type(value), value, name, names), _media_type(value), len(each)))
        elif isinstance(each, list):
            within = (*names[-2:], name)
            own[name] = [
                _instead(value, name, one, names, replaced) if isinstance(one, str) else _walk(one, within, replaced)
                for one in each
            ]
        else:
            own[name] = _walk(each, (*names[-2:], name), replaced)
    return own


def _instead(
    holder: Mapping[str, Any], name: str, text: str, names: tuple[str, ...], replaced: Callable[[Inline], str]
) -> str:
    """The text, or its replacement if it is inline data."""
    inline = _inline(holder, name, text, names)
    return replaced(inline) if inline else text


def _inline(holder: Mapping[str, Any], name: str, text: str, names: tuple[str, ...]) -> Inline | None:
    if name == "text":
        return None
    start = text[:LOOKED_AT]
    if (start.lstrip() if start[:1].isspace() else start)[:5].lower() == "data:":
        head, comma, _data = start.partition(",")
        media_type, size = head.lstrip()[5:].partition(";")[0], len(text) - len(head) - 1
        return Inline(_kind(media_type, holder, name, names), media_type, size) if comma else None
    if not _may_be_data(holder, name, len(text)) or not _BASE64.fullmatch(start):
        return None
    media_type = _media_type(holder)
    return Inline(_kind(media_type, holder, name, names), media_type, len(text))


def _may_be_data(holder: Mapping[str, Any], name: str, size: int) -> bool:
    """Whether a text of this size counts as inline data if it is base64."""
    holds = _holds_data(holder, name, size)
    if (size < LOOKED_AT and not holds) or holder.get("type") in _NO_MEDIA:
        return False
    media_type = _media_type(holder)
    if holds:
        return size >= SURE or bool(media_type) or name in ("bytes", "file_data")
    return _MEDIA_TYPE.match(media_type) is not None or holder.get("encoding") == "base64"


def _holds_data(holder: Mapping[str, Any], name: str, size: int) -> bool:
    """Whether the key of a text says that it is base64."""
    if name in DATA_KEYS or (name == "result" and holder.get("type") == _GENERATED):
        return True
    if size >= LOOKED_AT and (_LIKELY.search(name[-LOOKED_AT:]) or _MEDIA_TYPE.match(name)):
        return True
    return "64" in name and any(each in name[-LOOKED_AT:].lower() for each in _BASE64_NAMES)


def _are_bytes(value: Any) -> bool:
    """Whether a value is bytes as numbers: a list, or an object by index, as JavaScript writes a typed array."""
    if not isinstance(value, (list, dict)) or len(value) < SURE or (isinstance(value, dict) and "0" not in value):
        return False
    numbers = value if isinstance(value, list) else value.values()
    return all(type(number) is int and 0 <= number < _BYTE for number in numbers)


def _media_type(holder: Mapping[str, Any]) -> str:
    return next((media for key in _MEDIA_KEYS if isinstance(media := holder.get(key), str)), "")


def _kind(media_type: str, holder: Mapping[str, Any], name: str, names: tuple[str, ...]) -> str:
    """The kind of inline data by its media type, else by the nearest key that names a kind."""
    hints = (media_type, name, str(holder.get("type")), *reversed(names))
    return next((kind for hint in hints for kind in _KINDS if kind in hint.lower()), "file")
