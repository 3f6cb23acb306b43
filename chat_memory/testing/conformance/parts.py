"""Owns the clauses of ``Adapter.part``: it returns the part, or raises an error that names the missing part."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

import pytest

from chat_memory.exceptions import NotSupported
from chat_memory.storage.contract import (
    ArchiveStore,
    AttachmentStore,
    BranchStore,
    ChangeStore,
    DraftStore,
    EditStore,
    FeedbackStore,
    MessageStore,
    Part,
    SessionStore,
    SummaryStore,
    TurnStore,
    UndroppedStore,
)
from chat_memory.testing.conformance.kit import Kit

PARTS: tuple[type[Part], ...] = (
    MessageStore,
    SessionStore,
    BranchStore,
    ChangeStore,
    DraftStore,
    EditStore,
    SummaryStore,
    ArchiveStore,
    FeedbackStore,
    AttachmentStore,
    TurnStore,
    UndroppedStore,
)


class PartClauses(Kit):
    """See ``Adapter.part``."""

    @pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.attribute)
    def test_a_part_is_there_or_named_as_lacking(self, kind: type[Part]) -> None:
        part = getattr(self.adapter, kind.attribute)
        if part is None:
            with pytest.raises(NotSupported, match=kind.lack) as caught:
                self.adapter.part(kind)
            assert (caught.value.adapter, caught.value.part) == (self.adapter.name, kind.attribute)
        else:
            assert isinstance(part, kind)
            assert self.adapter.part(kind) is part

    def test_messages_and_sessions_are_always_there(self) -> None:
        assert (self.adapter.messages, self.adapter.sessions) == (self.messages, self.sessions)
        assert self.adapter.name
