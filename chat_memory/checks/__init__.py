"""Owns the registration of system checks: those of the modules here, and those of installed sub-apps.

A check returns findings, each with an id, a message and a hint, and changes nothing. An E id means that chat_memory
does not work as configured, a W id that something works less well than it could.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from django.apps import apps
from django.core.checks import register as register_check

from chat_memory.checks import cache, configuration, database
from chat_memory.findings import Check

ROOMS = (configuration, cache, database)


def register() -> None:
    """Register all checks with Django; called once, from ``AppConfig.ready``."""
    for check in contributed():
        register_check(check.find, check.tag, deploy=check.deploy)


def contributed() -> Iterator[Check]:
    """The checks of the modules here, then those of the installed sub-apps."""
    for room in (*ROOMS, *_sub_apps()):
        yield from room.CHECKS


def _sub_apps() -> Iterator[ModuleType]:
    for config in apps.get_app_configs():
        name: str | None = getattr(config, "chat_memory_checks", None)
        if name is not None:
            yield import_module(name)
