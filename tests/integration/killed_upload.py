"""A program of its own that adds an attachment or deletes its session, and is killed on the way.

`python -m tests.integration.killed_upload DATABASE STEP`: the storage kills the process, at the step that is named.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.files.storage import FileSystemStorage
from django.utils.module_loading import import_string

STEPS = ("before the file", "within the file", "after the file", "before the removal", "after the removal")
KEY, WORKSPACE = "k", "acme"
BYTES = b"MARKER" * 50_000


class DeadlyStorage(FileSystemStorage):
    """The storage of the test, which ends the process at a step."""

    step = ""

    def _save(self, name: str, content: Any) -> str:
        self._reach("before the file")
        if self.step == "within the file":
            path = Path(self.path(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as half:
                half.write(content.read(1000))
                half.flush()
                self._reach("within the file")
        saved: str = super()._save(name, content)  # type: ignore[misc]  # Django's stubs leave it out
        self._reach("after the file")
        return saved

    def delete(self, name: str) -> None:
        self._reach("before the removal")
        super().delete(name)
        self._reach("after the removal")

    def _reach(self, step: str) -> None:
        if self.step == step:
            os.kill(os.getpid(), signal.SIGKILL)


def main(database: str, step: str) -> None:
    """Add the bytes, or delete the session that has them."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    settings.DATABASES["default"]["NAME"] = database
    DeadlyStorage.step = step
    own = {**settings.STORAGES["default"], "BACKEND": "tests.integration.killed_upload.DeadlyStorage"}
    settings.STORAGES = {**settings.STORAGES, "default": own}
    sys.modules["tests.integration.killed_upload"] = sys.modules[__name__]
    django.setup()
    chat = import_string("chat_memory.conversation")(KEY, WORKSPACE)
    if "removal" in step:
        chat.delete()
    else:
        chat.attachments.add(BYTES, media_type="image/png")


if __name__ == "__main__":
    main(*sys.argv[1:])
