"""Owns how names, users and session rows become an address; it must not look anything up."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from django.contrib.auth import get_user_model

from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.conf import live
from chat_memory.exceptions import ValidationError
from chat_memory.history.validation import BRANCH_LENGTH, check_cache_ttl, check_key, check_workspace, plain
from chat_memory.records import Address


class SessionRow(Protocol):
    """What a conversation takes from a session row."""

    pk: Any
    workspace_id: int
    key: str
    branch: str
    user_key: str

    @property
    def workspace(self) -> Any:
        """The tenant, with its slug."""


def address(
    key: str,
    workspace: str | None,
    user: Any,
    branch: str | None,
    cache_ttl: float | msgspec.UnsetType | None = msgspec.UNSET,
) -> Address:
    """The address of a conversation by its names; None for ``workspace``: DEFAULT_WORKSPACE, for ``branch``: CURRENT.

    Raises:
        ValidationError: a name or ``cache_ttl`` is not usable; the text says which.
    """
    slug = live.now().default_workspace if workspace is None else workspace
    check_workspace(slug)
    check_key(key)
    if cache_ttl is not msgspec.UNSET:
        check_cache_ttl(cache_ttl)
    user_id, user_key = _owner(user)
    named = CURRENT if branch is None else check_branch(branch)
    return Address(plain(slug), plain(key), named, user_id, user_key, cache_ttl=cache_ttl)


def check_branch(name: object) -> str:
    """A branch name is text of 1..100 characters without control characters and surrogates.

    Raises:
        ValidationError: it is not.
    """
    check_key(name, "branch", BRANCH_LENGTH)
    return str(plain(name))


def address_of(session: SessionRow) -> Address:
    """The address of one session row, and of no later session of the same name.

    The first row of a conversation stands for the whole: whichever of its branches speaks.
    """
    return Address(
        session.workspace.slug,
        session.key,
        CURRENT if session.branch == MAIN_BRANCH else session.branch,
        user_key=session.user_key,
        workspace_id=session.workspace_id,
        session_id=session.pk,
        pinned=True,
    )


def _owner(user: Any) -> tuple[Any, str]:
    """A user object's primary key and its text, or nobody's key and the text given; anonymous is nobody.

    Raises:
        ValidationError: it is neither a stored user of this project nor text.
    """
    if user is None or getattr(user, "is_anonymous", False) is True:
        return None, ""
    if isinstance(user, str):
        check_key(user, "user")
        return None, plain(user)
    stored = isinstance(user, get_user_model()) and getattr(user, "pk", None) is not None and not user._state.adding
    if not stored:
        raise ValidationError("must be a saved user or text", field="user")
    return user.pk, str(user.pk)
