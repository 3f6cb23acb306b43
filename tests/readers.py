"""Readers who keep a copy of a conversation, or of a list of conversations, and bring it up to date."""

from typing import Any
from uuid import UUID

from chat_memory import Conversation, Message, sessions
from chat_memory.records import SessionRecord

MOST_PAGES = 1_000


class Reader:
    """Holds the messages of a conversation by position."""

    def __init__(self, chat: Conversation, size: int = 500) -> None:
        self.chat, self.size = chat, size
        self.held: dict[int, Message] = {}
        self.cursor: str | None = None
        self.told = 0
        self.begun = 0

    def sync(self) -> list[Message]:
        """What it holds once it has asked as often as there is more."""
        for _page in range(MOST_PAGES):
            found = self.chat.changes(self.cursor, size=self.size)
            if found.void_from is not None:
                self.begun += found.begins_anew
                self.held = {seq: message for seq, message in self.held.items() if seq < found.void_from}
            for message in found.changed:
                assert message.seq in self.held
            assert all(message.seq not in self.held for message in found.messages)
            self.told += len(found.messages) + len(found.changed)
            self.held |= {message.seq or 0: message for message in (*found.changed, *found.messages)}
            self.cursor = found.cursor
            if not found.more:
                return [self.held[seq] for seq in sorted(self.held)]
        raise AssertionError("there is no last page")


class ListReader:
    """Holds the conversations of a workspace by their ids."""

    def __init__(self, workspace: str, size: int = 500, **place: Any) -> None:
        self.workspace, self.size, self.place = workspace, size, place
        self.held: dict[UUID, SessionRecord] = {}
        self.cursor: str | None = None
        self.told = 0
        self.begun = 0

    def sync(self) -> dict[UUID, SessionRecord]:
        """What it holds once it has asked as often as there is more."""
        for _page in range(MOST_PAGES):
            found = sessions.changes(self.workspace, self.cursor, size=self.size, **self.place)
            if found.begins_anew:
                self.held, self.begun = {}, self.begun + 1
            self.told += len(found.changed)
            self.held |= {record.id: record for record in found.changed}
            for ident in found.gone:
                self.held.pop(ident, None)
            self.cursor = found.cursor
            if not found.more:
                return self.held
        raise AssertionError("there is no last page")
