"""Owns how names, users and session rows become an address; it must not look anything up."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import msgspec
from django.contrib.auth import get_user_model

from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.conf import live
from chat_memory.exceptions import ValidationError
from chat_memory.records import Address
from chat_memory.rules.json_values import shown
from chat_memory.rules.names import check_branch, check_key, check_workspace, plain
from chat_memory.rules.numbers import check_cache_ttl, check_flag

_REMEMBERED = 1024
"""The most pairs of valid names that a process caches."""


class SessionRow(Protocol):
    """The attributes of a session row that its address needs."""

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
    *,
    any_owner: bool = False,
) -> Address:
    """The address of a conversation by its names; None for ``workspace``: DEFAULT_WORKSPACE, for ``branch``: CURRENT.

    Raises:
        ValidationError: a name, ``cache_ttl`` or ``any_owner`` is not usable; the text says which.
    """
    slug = live.now().default_workspace if workspace is None else workspace
    if type(slug) is str and type(key) is str:
        _check_names(slug, key)
    else:
        check_workspace(slug)
        check_key(key)
        slug, key = plain(slug), plain(key)
    if cache_ttl is not msgspec.UNSET:
        check_cache_ttl(cache_ttl)
    user_id, user_key = (None, "") if user is None else owner(user)
    anonymous = user is not None and not user_key
    named = CURRENT if branch is None else check_branch(branch)
    if any_owner is not False:
        check_flag(any_owner, "any_owner")
    return Address(slug, key, named, user_id, user_key, cache_ttl=cache_ttl, any_owner=any_owner, anonymous=anonymous)


@lru_cache(_REMEMBERED)
def _check_names(slug: str, key: str) -> None:
    """Check both names; valid pairs are cached, because a process uses the same ones again and again.

    Raises:
        ValidationError: one is not usable.
    """
    check_workspace(slug)
    check_key(key)


def address_of(session: SessionRow) -> Address:
    """The address of one session row; a later session with the same key is not reached by it.

    The row of ``main`` stands for the whole conversation, so its address means the branch that is current at each call.
    """
    return Address(
        session.workspace.slug,
        session.key,
        CURRENT if session.branch == MAIN_BRANCH else session.branch,
        user_key=session.user_key,
        workspace_id=session.workspace_id,
        session_id=session.pk,
        pinned=True,
        any_owner=True,
    )


def user_key(user: Any, field: str) -> str:
    """The key of a user object or of another system's user; "" for nobody.

    Raises:
        ValidationError: it is neither a stored user of this project nor text.
    """
    return "" if user is None else owner(user, field)[1]


def owner(user: Any, field: str = "user") -> tuple[Any, str]:
    """The user id and the user key: of a user object, its primary key and that as text; of text, None and the text.

    An anonymous user has None and "".

    Raises:
        ValidationError: it is neither a stored user of this project nor text.
    """
    if getattr(user, "is_anonymous", False) is True:
        return None, ""
    if isinstance(user, str):
        check_key(user, field)
        return None, plain(user)
    if not isinstance(user, get_user_model()):
        raise ValidationError(f"must be a saved user or text, not {shown(user)}", field=field)
    pk: Any = user.pk
    if pk is None or user._state.adding:
        lack = "has no primary key yet" if pk is None else "is not in the database yet"
        raise ValidationError(f"{lack}: save it first", field=field)
    if type(pk) is not int:
        pk = user._meta.pk.to_python(pk)  # a user who was just created may hold the key as it was given, as text
    return pk, str(pk)
