"""Owns what the deletion of a user does to rows in other databases; in the user's own, ``models.user_link`` does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections, router, transaction
from django.db.models import Model, signals

from chat_memory.models import Feedback, Session, WorkspaceMember
from chat_memory.models.user_link import has_table, left, users_of
from chat_memory.storage.orm.waiting import transaction_bounded
from chat_memory.storage.tenancy import across_workspaces


def connect() -> None:
    """Connect the receiver for deleted users, also for proxy models; called once, by ``AppConfig.ready()``."""
    user_model = settings.AUTH_USER_MODEL.lower()
    for model in apps.get_models():
        concrete = model._meta.concrete_model
        if concrete is not None and concrete._meta.label_lower == user_model:
            signals.post_delete.connect(_on_user_deleted, sender=model, weak=False, dispatch_uid=_on_user_deleted)


def _on_user_deleted(instance: Model, using: str, **_signal: Any) -> None:
    """After the commit, remove the user from the sessions, feedback and memberships in other databases.

    Django logs an error there; the user stays deleted.
    """
    if any(_aliases(using)):
        user_id = instance.pk  # Django takes it from the instance before the commit
        # No partial: Django 5.2 logs the error of a hook by its __qualname__, which a partial lacks.
        transaction.on_commit(lambda: _forget(user_id, using), using=using, robust=True)


def _forget(user_id: Any, users: str) -> None:
    for alias in _aliases(users):
        if not has_table(Session, alias):
            continue
        with across_workspaces(), transaction_bounded(alias):
            for model in (Session, Feedback):
                model._default_manager.using(alias).filter(user_id=user_id).update(user=None, **left(model))
            WorkspaceMember.objects.using(alias).filter(user_id=user_id).delete()


def _aliases(users: str) -> Iterator[str]:
    """The other databases that may have rows of the users in the database ``users``."""
    for alias in connections:
        if alias != users and router.allow_migrate_model(alias, Session) and users_of(Session, alias) == users:
            yield alias
