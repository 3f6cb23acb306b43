"""Owns the drafts of a conversation as readers see them: following and stopping one, and the message it becomes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from chat_memory.choices import BROKEN, CURRENT, MAIN_BRANCH, State
from chat_memory.exceptions import Busy, DraftLost, DraftNotFound, MessageConflict
from chat_memory.history.handle import Place
from chat_memory.history.stamping import stamped
from chat_memory.history.twins import twin
from chat_memory.records import Draft, Message, Span, TurnRight, text_of
from chat_memory.rules.drafts import LARGEST_TEXT
from chat_memory.rules.json_values import unstorable
from chat_memory.rules.names import plain
from chat_memory.rules.numbers import whole_number
from chat_memory.storage.contract import DraftStore


class ConversationDrafts:
    """The messages that are being streamed to a conversation, on all its branches.

    A draft without a write for DRAFT_LAPSE_SECONDS is abandoned: the next reader, or ``chat_memory_cleanup``, stores
    its text so far as a message in the state ``abandoned``. If the conversation is locked or the database is read-only,
    the reader gets the draft as it is.

    Every method raises NotSupported where the back end keeps no drafts.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    def entries(self) -> list[Draft]:
        """The drafts that are being streamed now, in the order in which they began, without their texts."""
        found = self._store.all(self.place.address)
        return [draft for draft in found if not _is_gone(self.place, draft)]

    aentries = twin(entries)

    def get(self, id: str, after: int = 0) -> Draft:  # noqa: A002  # as a message calls it
        """A draft by the id of its message, with its text after ``after`` characters; once it has ended, its message.

        To follow a draft, call this again with ``after=draft.length`` until the state is no longer ``streaming``. The
        text of a redacted message is empty.

        Args:
            id: the id of the message.
            after: how many characters the reader has already.

        Raises:
            DraftNotFound: nothing of this id is being streamed, and this branch shows no message of this id.
        """
        place, message_id, behind = self.place, plain(id), min(whole_number(after, "after"), LARGEST_TEXT)
        if not isinstance(message_id, str) or unstorable(message_id):
            raise DraftNotFound(place.address.key, message_id)
        draft = self._store.find(place.address, message_id, behind)
        if draft is not None and not _is_gone(place, draft):
            return draft
        message = self._message(message_id)
        if message is None:
            raise DraftNotFound(place.address.key, message_id)
        return _ended(message, self._branch(draft), behind)

    aget = twin(get)

    def stop(self, id: str) -> bool:  # noqa: A002  # as a message calls it
        """Ask the writer of a draft to stop; it learns of this at its next flush. False if the message has ended.

        Raises:
            DraftNotFound: nothing of this id is being streamed, and this branch shows no message of this id.
        """
        place = self.place
        draft = self.get(id, after=LARGEST_TEXT)
        return draft.state == State.STREAMING.value and self._store.stop(place.address, draft.id)

    astop = twin(stop)

    @property
    def _store(self) -> DraftStore:
        return self.place.adapter.part(DraftStore)

    def _branch(self, draft: Draft | None) -> str:
        """The branch on which an ended message is looked for."""
        named = self.place.address.branch if draft is None else draft.branch
        if named != CURRENT:
            return named
        record = self.place.adapter.sessions.get(self.place.address)
        return record.branch if record else MAIN_BRANCH

    def _message(self, message_id: str) -> Message | None:
        place = self.place
        seq = place.adapter.messages.locate(place.address, message_id)
        found = place.adapter.messages.read(place.address, Span(after=seq - 1, first=1)).messages if seq else []
        return found[0] if found and found[0].id == message_id else None


def _is_gone(place: Place, draft: Draft) -> bool:
    """Settle a draft that has lapsed; whether it is gone. A locked conversation must not fail a reader: False then."""
    with suppress(Busy):
        return draft.lapsed and settle_lapsed(place, draft)
    return False


def settle_lapsed(place: Place, draft: Draft) -> bool:
    """Store an abandoned draft as a message with its text; whether the draft is gone, by this call or another."""
    store = place.adapter.part(DraftStore)
    try:
        return store.settle(place.address, draft, abandoned, lapsed=True).ended
    except DraftLost:
        return True
    except MessageConflict:  # a message with this id is stored already, so the draft is not needed
        return discard(place, draft)


def discard(place: Place, draft: Draft, right: TurnRight | None = None) -> bool:
    """Remove a draft without storing a message; True: it is gone, by this call or another."""
    with suppress(DraftLost):
        place.adapter.part(DraftStore).settle(place.address, draft, lambda _draft, _stored: None, right=right)
    return True


def concluded(draft: Draft, stored: Message | None, text: str, state: str, **fields: Any) -> Message | None:
    """The message to store for a draft, completed as for an append.

    None if it would replace a partial message without adding any text to it.

    Args:
        draft: the draft.
        stored: the partial message that it replaces; None: it replaces none.
        text: the whole text that was written.
        state: the state of the message.
        fields: further fields of the message; metadata and extra are merged over those of the draft and of the message
            that it continues. A failed or abandoned message is not validated, so it must only get checked fields.

    Raises:
        ValidationError: such a message cannot be stored.
    """
    former = str(stored.content or "") if stored is not None else ""
    if stored is not None and state != State.COMPLETE.value and text in ("", former):
        return None
    goes_on = stored is not None and former != "" and text.startswith(former)
    metadata = (
        ((stored.metadata if stored else None) or {}) | (draft.metadata or {}) | (fields.pop("metadata", None) or {})
    )
    extra = ((stored.extra if stored and goes_on else None) or {}) | (fields.pop("extra", None) or {})
    content = None if not text and fields.get("tool_calls") else text
    given: dict[str, Any] = {
        "name": draft.name,
        "id": draft.id,
        "metadata": metadata or None,
        "extra": extra or None,
        "state": state,
    }
    return stamped([Message(draft.role, content, **given, **fields)], checked=state not in BROKEN)[0]


def abandoned(draft: Draft, stored: Message | None) -> Message | None:
    """The message to store for an abandoned draft; its time is that of the last write."""
    return concluded(draft, stored, draft.text, State.ABANDONED.value, created_at=draft.touched_at)


def _ended(message: Message, branch: str, after: int) -> Draft:
    """A stored message in the form of a draft, for a reader who followed its draft."""
    text = "" if message.state == State.REDACTED.value else text_of(message)
    return Draft(
        id=str(message.id),
        role=message.role,
        state=message.state,
        text=text[after:],
        length=len(text),
        branch=branch,
        name=message.name,
        begun_at=message.created_at,
        touched_at=message.created_at,
        seq=message.seq,
        metadata=message.metadata,
        turn=message.turn,
    )
