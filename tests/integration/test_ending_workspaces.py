"""A workspace that is removed or renamed while something is added to it: the addition has a home, or is not there."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction

from chat_memory import Message, append_many, conversation
from chat_memory.models import Session, Workspace
from chat_memory.storage.orm.removal import remove_workspace
from tests.waiting import eventually, somebody_waits_for_a_lock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

ENDS: dict[str, Callable[[Workspace], object]] = {
    "removed": lambda workspace: remove_workspace("default", workspace.pk),
    "renamed": lambda workspace: Workspace.objects.filter(pk=workspace.pk).update(slug="former"),
}
BEGINNINGS: dict[str, Callable[[], object]] = {
    "open": lambda: conversation("new", "acme").open(),
    "attach": lambda: conversation("new", "acme").attachments.add(b"bytes", media_type="text/plain"),
    "append_many": lambda: append_many({conversation("new", "acme"): [Message.user("x")]}),
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("end", ENDS)
def test_what_is_begun_while_the_workspace_ends_is_in_a_new_one(settings, end: str, beginning: str) -> None:
    """It waits for the end; before, it failed at its commit, or looked for what it had made without an end."""
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": 60.0}
    workspace = Workspace.objects.create(slug="acme")
    errors: list[Any] = []

    def begin() -> None:
        try:
            BEGINNINGS[beginning]()
        except Exception as error:  # noqa: BLE001  # whatever it is, the thread that waits for this one tells
            errors.append(error)
        finally:
            connections.close_all()

    beginner = threading.Thread(target=begin, daemon=True)
    with transaction.atomic():
        ENDS[end](workspace)
        beginner.start()
        eventually(somebody_waits_for_a_lock)
    beginner.join(60)
    assert not beginner.is_alive()
    assert errors == []
    assert set(Session.objects.values_list("workspace__slug", "key")) == {("acme", "new")}
