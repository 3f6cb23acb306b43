"""Owns the in-memory part for syncing readers that keep copies."""

from __future__ import annotations

from msgspec import structs

from chat_memory.choices import MAIN_BRANCH
from chat_memory.conf import settings
from chat_memory.records import Address, Changes, SessionChanges, SessionRecord, Span
from chat_memory.storage import syncing
from chat_memory.storage.contract import ChangeStore
from chat_memory.storage.listing import Filter, microseconds
from chat_memory.storage.memory.journal import Entry
from chat_memory.storage.memory.store import MemoryStore
from chat_memory.storage.memory.view import BranchView
from chat_memory.storage.syncing import NOTHING, Held, Listed, Part, Plan, digest, room_for

_DAY = 24 * 3600 * 1_000_000


class MemoryChanges(ChangeStore):
    """See ``ChangeStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def messages(self, at: Address, held: Held | None, *, size: int, most: int | None = None) -> Changes:
        """See ``ChangeStore.messages``."""
        view = self._store.find(at)
        if view is None:
            void = 1 if held is None or held.root else None
            return Changes([], [], void, str(Held()), False, at.branch or MAIN_BRANCH, 0)
        plan = _plan(view, held, size)
        found = view.slice(Span(after=plan.keep, first=size, most=most)).messages
        messages = [] if plan.is_cut else found
        end = messages[-1].seq or 0 if messages else plan.keep
        state = view.state
        reader = Held(
            root=view.conversation.branches[MAIN_BRANCH].id,
            row=state.id,
            base=state.base_seq,
            last=end,
            digest=_digest_at(view, end),
            number=plan.number,
            token=plan.token,
        )
        changed = sorted((view.message(each.seq) for each in plan.changed), key=lambda message: message.seq or 0)
        more = plan.is_cut or end < state.last_seq
        return Changes(messages, changed, plan.void_from, str(reader), more, state.name, state.version)

    def sessions(
        self, workspace: str, wanted: Filter, listed: Listed | None, *, size: int, most: int | None = None
    ) -> SessionChanges:
        """See ``ChangeStore.sessions``; cursors have the numbers of changes where other back ends have times."""
        journal, now = self._store.journal(workspace), microseconds(self._store.now())
        owner = wanted.user_id, wanted.user_key, wanted.outside
        place = digest((self._store.token, workspace, *map(str, owner)), None)
        is_old = listed is not None and now - listed.bound > settings.tombstone_days * _DAY
        begins_anew = listed is None or listed.place != place or is_old
        if listed is None or begins_anew:
            listed = Listed(place, journal.number, now, low=0)
        elif listed.low is None:
            low = listed.since
            listed = structs.replace(listed, since=journal.number, bound=now, low=low, after=low, number=0)
        rows = journal.after(listed.after)[:size]
        told = {each.number: found for each in rows if (found := self._told(workspace, each, wanted))}
        is_full = len(rows) == size
        if most is not None and (kept := room_for([*told.values()], most)) < len(told):
            last, is_full = [*told][kept], True
            rows = [each for each in rows if each.number < last]
        changed = [told[each.number] for each in rows if each.number in told]
        # A reader that begins anew needs no ids of deleted conversations.
        gone = [each.id for each in rows if each.is_gone and listed.number is not None]
        if is_full:
            listed = structs.replace(listed, after=rows[-1].number)
            return SessionChanges(changed, gone, begins_anew, str(listed), more=True)
        done = structs.replace(listed, low=None, after=0, number=None)
        return SessionChanges(changed, gone, begins_anew, str(done), more=False)

    def _told(self, workspace: str, noted: Entry, wanted: Filter) -> SessionRecord | None:
        """The conversation of an entry of the journal, if it exists and meets the filter."""
        found = None if noted.is_gone else self._store.get((workspace, noted.key))
        view = found and BranchView.of(found)
        return view.record if view and wanted.takes(view.shared_record) else None


def _plan(view: BranchView, held: Held | None, size: int) -> Plan:
    conversation, base = view.conversation, view.state.base_seq
    root = conversation.branches[MAIN_BRANCH].id
    rows = {state.id: state for state in conversation.branches.values()}
    found = None
    if held is not None and held.root == root and held.row in rows:
        former = BranchView(conversation, rows[held.row])
        found = syncing.plan(
            held,
            [each for each in conversation.notes if each.number >= held.number],
            base=base,
            shown=_parts(view),
            former=_parts(former),
            digest_at=lambda seq: _digest_at(former, seq),
            size=size,
        )
    return found or syncing.anew(base, conversation.notes[-1] if conversation.notes else None)


def _parts(view: BranchView) -> list[Part]:
    return [Part(segment.state.id, segment.low, segment.high) for segment in view.lineage()][::-1]


def _digest_at(view: BranchView, seq: int) -> str:
    if not 0 < seq <= view.state.last_seq:
        return NOTHING
    owner = view.owner(seq)
    if seq <= owner.ledger.offset:  # a conversation that began after hidden positions has no message there
        return NOTHING
    message = view.message(seq)
    return digest(message.id, message.created_at)
