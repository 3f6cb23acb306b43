"""Owns the rules for names of workspaces, sessions, users, branches and language models."""

from __future__ import annotations

import re
from typing import Any

from chat_memory.exceptions import ValidationError
from chat_memory.rules.json_values import shown, unstorable

NAME_LENGTH = 255
KEY_LENGTH = 255
BRANCH_LENGTH = 100
_SLUG = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def check_workspace(slug: object) -> None:
    """Check a workspace slug: 1..100 characters of ``[A-Za-z0-9._-]``, and not ``.`` or ``..``.

    Raises:
        ValidationError: the value is not such a slug.
    """
    if not isinstance(slug, str) or not _SLUG.fullmatch(slug):
        raise ValidationError(
            f"must be 1 to 100 of A-Z a-z 0-9 . _ - and neither '.' nor '..', not {shown(slug)}",
            field="workspace",
        )


def check_key(text: object, field: str = "key", length: int = KEY_LENGTH) -> None:
    """Check a key or name: text of 1..``length`` characters without control characters and surrogates.

    Raises:
        ValidationError: the value is not such text; the error names ``field``.
    """
    if not isinstance(text, str):
        raise ValidationError(f"must be text, not {type(text).__name__}", field=field)
    if not 1 <= len(text) <= length:
        raise ValidationError(f"must have 1 to {length} characters, not {len(text)}", field=field)
    control = _CONTROL.search(text)
    if control:
        where = f"{control[0]!a} at index {control.start()}"
        raise ValidationError(f"must not contain control characters or surrogates, such as {where}", field=field)


def yielded_key(key: str, suffix: str) -> str:
    """The new key of a session that has yielded its key to a user: as much of the old one as fits, "~", the suffix."""
    return f"{key[: KEY_LENGTH - len(suffix) - 1]}~{suffix}"


def check_branch(name: object) -> str:
    """Check the name of a branch and return it as a plain ``str``; it has 1..100 characters, as in ``check_key``.

    Raises:
        ValidationError: the value is not such a name.
    """
    check_key(name, "branch", BRANCH_LENGTH)
    return str(plain(name))


def check_model(name: object) -> None:
    """Check the name of a language model: text of at most 255 characters; "" if there is none.

    Raises:
        ValidationError: the value is not such text.
    """
    if not isinstance(name, str):
        raise ValidationError(f"must be text, not {type(name).__name__}", field="model")
    check_text(name, "model", NAME_LENGTH)


def check_text(text: object, field: str, length: int | None = None) -> None:
    """Check that a value is None, or text that can be stored and has at most ``length`` characters.

    Raises:
        ValidationError: the value is of another type, too long, or contains a NUL or a lone surrogate.
    """
    if text is None:
        return
    if not isinstance(text, str):
        raise ValidationError(f"must be text, not {type(text).__name__}", field=field)
    if length is not None and len(text) > length:
        raise ValidationError(f"must have at most {length} characters, not {len(text)}", field=field)
    if unstorable(text):
        raise ValidationError("must not contain NUL or lone surrogates", field=field)


def plain(value: Any) -> Any:
    """Text, or a list of texts, as plain ``str``: drivers and codecs treat subclasses (SafeString) differently."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str.__str__(value) if isinstance(value, str) else value
