"""Parts that each break one promise about attachments; test_conformance_kit.py says which clauses notice."""
# mypy: disable-error-code=no-any-return

from collections.abc import Collection, Sequence
from typing import Any, BinaryIO

from msgspec.structs import replace

from chat_memory.records import Address, Attachment, Commit, Message
from chat_memory.storage.contract import Upload
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.memory.shelf import Shelf
from tests.unit.broken_parts import BrokenPart


class StoresEveryTime(BrokenPart):
    """The second who adds the same bytes replaces what is said of them."""

    part = "attachments"

    def add(self, at: Address, upload: Upload) -> Attachment:
        return replace(self.right.add(at, upload), media_type=upload.media_type)


class ReachesEverything(BrokenPart):
    """Whoever knows a hash gets the bytes."""

    part = "attachments"
    known: dict[str, Attachment]

    def add(self, at: Address, upload: Upload) -> Attachment:
        added = self.right.add(at, upload)
        vars(self).setdefault("known", {})[added.sha256] = added
        return added

    def find(self, at: Address, hashes: Collection[str] | None = None) -> list[Attachment]:
        return [each for sha256, each in vars(self).get("known", {}).items() if hashes is None or sha256 in hashes]


class ShowsTheHidden(ReachesEverything):
    """What ``clear`` has hidden, too."""


class MakesSessions(BrokenPart):
    part = "attachments"

    def add(self, at: Address, upload: Upload) -> Attachment:
        self.adapter.sessions.open(at)
        return self.right.add(at, upload)


class KeepsForEver(BrokenPart):
    """Nothing is ever removed."""

    part = "attachments"

    def __init__(self, adapter: MemoryAdapter) -> None:
        super().__init__(adapter)
        shelf: Shelf = self.right._store.shelf
        shelf.remove_unused = lambda *_args: None  # type: ignore[method-assign]

    def open(self, at: Address, sha256: str) -> BinaryIO:
        return self.right.open(at, sha256)


class LetsDangle(BrokenPart):
    """A message may refer to what is not there."""

    part = "messages"

    def __init__(self, adapter: MemoryAdapter) -> None:
        super().__init__(adapter)
        shelf: Shelf = self.right._store.shelf
        shelf.check_reached = lambda *_args: None  # type: ignore[method-assign]

    def append(self, at: Address, messages: Sequence[Message], **options: Any) -> Commit:
        return self.right.append(at, messages, **options)
