"""One of the eight processes: it appends as we do or as the limit does, whenever told to."""

import uuid
from multiprocessing.connection import Connection

import django
from django.apps import apps
from django.conf import settings

if not apps.ready:
    django.setup()  # a spawned process imports this module first

from chat_memory import Message, conversation
from chat_memory.models import Session
from tests.benchmarks.limit import Limit, text

CALLS = 50


def append_when_told(pipe: Connection, url: str, workspace: str, key: str, session: uuid.UUID) -> None:
    """Do CALLS appends for each "ours" or "limit" that arrives, until "stop"."""
    settings.CHAT_MEMORY = {"CACHE": "off"}  # this process has read the settings again
    row = Session.objects.get(pk=session)
    limit = Limit(url, session, row.workspace_id)
    pipe.send("ready")
    while (what := pipe.recv()) != "stop":
        for _ in range(CALLS):
            if what == "ours":
                conversation(key, workspace=workspace).append(Message.user(text()))
            else:
                limit.append_one()
        pipe.send("done")
    limit.close()
