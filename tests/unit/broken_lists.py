"""Parts that break what the contract promises of lists by owner, and of lists and windows within bytes."""

from typing import Any

from msgspec.structs import replace

from chat_memory.storage.listing import NO_FILTER, Filter
from tests.unit.broken_parts import BrokenPart


class ListsByKeyAlone(BrokenPart):
    """Whoever has the text of a user's key is taken for that user."""

    part = "sessions"

    def find(self, workspace: str, wanted: Filter = NO_FILTER, **options: Any) -> Any:
        alike = None if wanted.user_id is None else f"{wanted.user_id}"
        return self.right.find(
            workspace, replace(wanted, user_id=None, user_key=wanted.user_key or alike, outside=None), **options
        )


class ListsBeyondBytes(BrokenPart):
    part = "sessions"

    def find_within(self, *args: Any, most: int, **options: Any) -> Any:
        return self.right.find_within(*args, most=most * 2, **options)


class ListsFromTheWrongEnd(BrokenPart):
    """What does not fit is left out at the end that is nearest."""

    part = "sessions"

    def find_within(self, *args: Any, **options: Any) -> Any:
        found, cut = self.right.find_within(*args, **options)
        every = self.right.find(*args, **{name: value for name, value in options.items() if name != "most"})
        return (every[: len(found)] if "after" in options else found), cut


class WindowsBeyondBytes(BrokenPart):
    part = "messages"

    def window_within(self, *args: Any, most: int, **options: Any) -> Any:
        return self.right.window_within(*args, most=most * 2, **options)


class CutsInSilence(BrokenPart):
    part = "messages"

    def window_within(self, *args: Any, **options: Any) -> Any:
        return self.right.window_within(*args, **options)[0], False
