"""Parts of adapters that each break one promise about owners and keys; test_conformance_kit.py uses them."""
# mypy: disable-error-code=no-any-return

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from chat_memory.records import Address, Commit, Slice
from chat_memory.storage.contract import NO_FIELDS
from tests.unit.broken_parts import BrokenPart


class ReadsForEverybody(BrokenPart):
    part = "messages"

    def read(self, at: Address, *given: Any) -> Slice:
        return self.right.read(replace(at, any_owner=True), *given)


class WritesForEverybody(BrokenPart):
    part = "messages"

    def append(self, at: Address, *given: Any, **options: Any) -> Commit:
        return self.right.append(replace(at, any_owner=True), *given, **options)


class RefusesTheOwner(BrokenPart):
    part = "messages"

    def read(self, at: Address, *given: Any) -> Slice:
        return self.right.read(replace(at, user_key=at.user_key and "nobody here", any_owner=False), *given)


class ForgetsWhoChoseTheKey(BrokenPart):
    part = "sessions"

    def open(self, at: Address, fields: Mapping[str, Any] = NO_FIELDS) -> Any:
        return self.right.open(at, {name: value for name, value in fields.items() if name != "key_from_client"})


class TakesEveryKeyForAClients(BrokenPart):
    """As if a client had chosen each."""

    part = "sessions"

    def open(self, at: Address, fields: Mapping[str, Any] = NO_FIELDS) -> Any:
        return self.right.open(at, {**fields, "key_from_client": True})


class ReadsPastItsPin(BrokenPart):
    part = "messages"

    def read(self, at: Address, *given: Any) -> Slice:
        return self.right.read(replace(at, pinned=False), *given)


class WritesPastItsPin(BrokenPart):
    part = "messages"

    def append(self, at: Address, *given: Any, **options: Any) -> Commit:
        return self.right.append(replace(at, pinned=False), *given, **options)
