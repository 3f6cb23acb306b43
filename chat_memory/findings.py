"""Owns the form of a system check and of its findings, each with an id, a message and a hint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from django.core.checks import CheckMessage, Error, Warning as CheckWarning
from django.db import DEFAULT_DB_ALIAS, router


class Check(NamedTuple):
    """A system check of this package or of a sub-app.

    A module lists its checks as ``CHECKS``. A sub-app's ``AppConfig`` names its module by the dotted path
    ``chat_memory_checks``.

    Attributes:
        find: called as Django calls a check; returns the findings.
        tag: the check's tag, one of Django's or the sub-app's own.
        deploy: whether only ``check --deploy`` runs it.
    """

    find: Callable[..., Sequence[CheckMessage]]
    tag: str
    deploy: bool = False


def error(number: int, message: str, hint: str) -> CheckMessage:
    """An error finding, ``chat_memory.E<number>``: chat_memory does not work as configured."""
    return Error(message, hint=hint, id=f"chat_memory.E{number:03}")


def warning(number: int, message: str, hint: str) -> CheckMessage:
    """A warning finding, ``chat_memory.W<number>``: chat_memory works, but less well than it could."""
    return CheckWarning(message, hint=hint, id=f"chat_memory.W{number:03}")


def migrate_hint(alias: str, app: str) -> str:
    """What brings a sub-app's tables into a database, where they are not there.

    Where the routers refuse them, ``migrate`` has noted the migrations as done all the same.
    """
    option = "" if alias == DEFAULT_DB_ALIAS else f" --database={alias}"
    if router.allow_migrate(alias, app):
        return f"Run migrate{option}"
    undo = f"run migrate {app} zero --fake{option}, and migrate{option}"
    return f"Let DATABASE_ROUTERS allow {app!r} in {alias!r}, where sessions are, then {undo}"
