"""Owns the rules for attachments: their types and names, and the content parts that refer to them; pure.

A part refers to bytes that are stored in the workspace, ``{"type": "image_ref", "image_ref": {"sha256": ...}}``, or to
a URL, ``{"type": "image_ref", "image_ref": {"url": ...}}``, which this package never fetches. A part of these types in
any other form is not a reference and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from chat_memory.exceptions import TooLarge, ValidationError
from chat_memory.records import Ref, is_web_address, ref_of
from chat_memory.rules.json_values import shown, unstorable
from chat_memory.rules.names import NAME_LENGTH, check_text

URL_LENGTH = 2_000
TYPE_LENGTH = 100
MAX_REFERENCES = 1_000
_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9*][a-z0-9.+*-]*")


def refs(content: object) -> Iterator[Ref]:
    """The references in the parts of a content, at any depth, also inside tool results."""
    left = content[::-1] if isinstance(content, list) else []
    while left:  # not recursive: a deeply nested content, not checked yet, would exhaust the stack
        part = left.pop()
        ref = ref_of(part)
        if ref is not None:
            yield ref
        elif isinstance(part, Mapping) and isinstance(part.get("content"), list):
            left += reversed(part["content"])


def hashes(contents: Iterable[object]) -> set[str]:
    """The hashes of the stored bytes that contents refer to."""
    return {ref.sha256 for content in contents if isinstance(content, list) for ref in refs(content) if ref.sha256}


def check_references(wanted: Collection[str]) -> None:
    """Check the number of different attachments that a message, or a request, refers to.

    Raises:
        TooLarge: there are more than MAX_REFERENCES.
    """
    if len(wanted) > MAX_REFERENCES:
        text = f"refers to {len(wanted)} different attachments, over MAX_REFERENCES ({MAX_REFERENCES})"
        raise TooLarge(text, field="content")


def is_type(text: str) -> bool:
    """Whether a text is a media type in lower case, without parameters."""
    return len(text) <= TYPE_LENGTH and "*" not in text and _TYPE.fullmatch(text) is not None


def check_type(media_type: object, allowed: Iterable[str]) -> str:
    """A media type in lower case and without parameters, checked against the allowed patterns such as ``image/*``.

    Raises:
        ValidationError: it is not a media type, or not allowed.
    """
    if not isinstance(media_type, str):
        raise ValidationError(f"must be text, not {type(media_type).__name__}", field="media_type")
    plain = media_type[: 2 * TYPE_LENGTH].partition(";")[0].strip().lower()
    if not is_type(plain):
        raise ValidationError(f"must be a media type such as image/png, not {shown(media_type)}", field="media_type")
    patterns = tuple(allowed)
    if not any(fnmatchcase(plain, pattern) for pattern in patterns):
        names = ", ".join(patterns) or "none"
        raise ValidationError(f"is {plain}, and ATTACHMENT_TYPES allows {names}", field="media_type")
    return plain


def check_name(name: object) -> str:
    """A checked file name to show to people; "" for none.

    Raises:
        ValidationError: it is not text, or too long.
    """
    if not isinstance(name, str):
        raise ValidationError(f"must be text, not {type(name).__name__}", field="name")
    check_text(name, "name", NAME_LENGTH)
    return str(name)


def check_url(url: object) -> str:
    """A checked http or https URL.

    Raises:
        ValidationError: it is something else, or too long.
    """
    if not isinstance(url, str) or len(url) > URL_LENGTH or not is_web_address(url) or unstorable(url):
        raise ValidationError(
            f"must be an http or https address of at most {URL_LENGTH} characters, not {shown(url)}", field="url"
        )
    return str(url)


def link(kind: str, url: str, media_type: str = "", name: str = "") -> dict[str, Any]:
    """A content part that refers to a URL."""
    said = {"url": url, "media_type": media_type, "name": name}
    return {"type": kind, kind: {key: value for key, value in said.items() if value}}
