"""Owns the records of an attachment and of a content part's reference, to bytes by their hash or to a URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

KINDS = ("image_ref", "audio_ref", "file_ref")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"https?://[^\s/]\S*", re.IGNORECASE)
KIND_OF = {"image": "image_ref", "audio": "audio_ref"}
"""The kind of part by the main type of a media type; any other type is ``file_ref``."""


def kind_of(media_type: str) -> str:
    """The kind of part that refers to something of a media type: image_ref, audio_ref or file_ref."""
    return KIND_OF.get(media_type.partition("/")[0], "file_ref")


class Attachment(msgspec.Struct, frozen=True):
    """Bytes that are stored once per workspace, however many messages refer to them.

    Attributes:
        sha256: the SHA-256 of the bytes, in hexadecimal; parts refer to the bytes by it.
        size: the number of bytes.
        media_type: such as ``image/png``, as given when the bytes were first stored.
        created_at: when they were stored.
    """

    sha256: str
    size: int
    media_type: str
    created_at: datetime

    def part(self, name: str = "") -> dict[str, Any]:
        """A content part that refers to it; ``name``: the file name to show to people."""
        kind = kind_of(self.media_type)
        said: dict[str, Any] = {"sha256": self.sha256, "media_type": self.media_type, "size": self.size}
        return {"type": kind, kind: said | ({"name": name} if name else {})}


class Ref(NamedTuple):
    """What a part refers to: bytes by their hash, or a URL; the other one is "".

    Attributes:
        kind: image_ref, audio_ref or file_ref.
        sha256: the hash of the bytes.
        url: the URL.
        media_type: the media type in the part.
        name: the file name in the part.
    """

    kind: str
    sha256: str
    url: str
    media_type: str = ""
    name: str = ""


def ref_of(part: object) -> Ref | None:
    """What a part refers to; None for any other part, and for a reference in another form."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    held = part.get(kind) if isinstance(part, Mapping) and isinstance(kind, str) and kind in KINDS else None
    if not isinstance(held, Mapping) or not isinstance(kind, str):
        return None
    sha256, url = held.get("sha256"), held.get("url")
    media_type, name = (value if isinstance(value := held.get(key), str) else "" for key in ("media_type", "name"))
    if isinstance(sha256, str) and is_sha256(sha256):
        return Ref(kind, sha256, "", media_type, name)
    return Ref(kind, "", url, media_type, name) if isinstance(url, str) and is_web_address(url) else None


def named(ref: Ref) -> dict[str, Any]:
    """A text part that names an attachment, in place of one that a model cannot be given."""
    said = ref.name or ref.url or ref.media_type or "not available"
    return {"type": "text", "text": f"[{ref.kind.removesuffix('_ref')}: {said}]"}


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 in the form of parts: lower-case hexadecimal."""
    return _SHA256.fullmatch(text) is not None


def is_web_address(text: str) -> bool:
    """Whether a text is an http or https URL."""
    return _URL.fullmatch(text) is not None
