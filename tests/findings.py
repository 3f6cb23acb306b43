"""What system checks find, as tests compare it, and a router that gives them something to find."""

from collections.abc import Sequence

from django.core.checks import CheckMessage

OURS = "chat_memory."


def ids(found: Sequence[CheckMessage]) -> list[str]:
    """The ids without the name of the app; every finding has a message and a hint."""
    assert all(message.msg and message.hint for message in found)
    return [str(message.id).removeprefix(OURS) for message in found]


def ids_of_ours(found: Sequence[CheckMessage]) -> set[str]:
    """The ids of this app alone among everything that Django's checks found."""
    return set(ids([message for message in found if str(message.id).startswith(OURS)]))


class Refusing:
    """A router of a host that has no place for the tables of one app."""

    def __init__(self, app: str) -> None:
        self.app = app

    def allow_migrate(self, db: str, app_label: str, **_hints: object) -> bool | None:
        return False if app_label == self.app else None
