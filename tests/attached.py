"""A folder for the files of attachments, a conversation with a picture, and the environment of another process."""

import hashlib
import os
from pathlib import Path
from typing import Any

from django.db import connection

from chat_memory import Message, conversation

CAT, DOG = b"\x89PNG a cat", b"\x89PNG a dog"


def files(media: Path) -> list[Path]:
    """The files in a folder and below."""
    return [path for path in media.rglob("*") if path.is_file()]


def pictured(key: str = "k", workspace: str = "acme", data: bytes = CAT, **options: Any) -> Any:
    """A conversation whose first message shows a picture."""
    chat = conversation(key, workspace, **options)
    chat.append(Message.user([{"type": "text", "text": "what is it?"}, chat.attachments.add(data, name="cat.png")]))
    return chat


def hash_of(data: bytes) -> str:
    """The hash by which parts refer to bytes."""
    return hashlib.sha256(data).hexdigest()


def environment_of_the_run() -> dict[str, str]:
    """What a process of its own needs to reach the database of this test."""
    named = connection.settings_dict
    environment = dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    if connection.vendor == "postgresql":
        place = f"{named['HOST']}:{named['PORT']}"
        url = f"postgresql://{named['USER']}:{named['PASSWORD']}@{place}/{named['NAME']}"
    else:
        url = f"sqlite:///{named['NAME']}"
    return environment | {"DATABASE_URL": url}
