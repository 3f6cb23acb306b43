"""What the tests of conversations share: the same test over Django's models and over the memory of this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat_memory import Conversation, conversation
from chat_memory.storage.memory import MemoryAdapter

Chats = Callable[..., Conversation]


@pytest.fixture(params=["django", "memory"])
def chats(request: pytest.FixtureRequest) -> Chats:
    """Makes conversations by key, all in one back end."""
    given: dict[str, Any] = {} if request.param == "django" else {"adapter": MemoryAdapter()}

    def chat(key: str = "k", workspace: str = "acme", **names: Any) -> Conversation:
        return conversation(key, workspace, **given, **names)

    return chat


@pytest.fixture
def media(tmp_path: Path, settings: Any) -> Path:
    """The folder of the files of attachments."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"
