"""Owns branches and what changes in the midst of a history; it must not append or read histories."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from msgspec import structs

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import BranchExists, BranchNotFound, MessageNotFound
from chat_memory.models import Message as MessageRow, Revision as RevisionRow, Session
from chat_memory.records import Address, Branch, Change, Commit, Header, Message, Revision, uuid7
from chat_memory.storage.mapping import READ_COLUMNS, content_of, to_messages, to_row
from chat_memory.storage.orm.lineage import lineage
from chat_memory.storage.orm.removal import with_branches
from chat_memory.storage.orm.rows import Rows, create, family, find, lock, move, new_token, speak, touch
from chat_memory.storage.orm.transactions import own_or_callers, retrying


def branches(alias: str, at: Address) -> list[Branch]:
    """The contract is ``BranchStore.branches``."""
    rows = find(alias, at)
    if rows is None:
        return []
    known = {row.pk: row for row in family(rows.root)}
    ordered = sorted(known.values(), key=lambda row: (row.parent_id is not None, row.created_at, row.pk))
    return [_to_branch(row, rows.root, known[row.parent_id] if row.parent_id else None) for row in ordered]


def fork(alias: str, at: Address, name: str, seq: int | None, *, switch: bool) -> tuple[Branch, Header]:
    """The contract is ``BranchStore.fork``."""

    def write() -> tuple[Branch, Header]:
        with own_or_callers(alias):
            source = lock(alias, at)
            # Every refusal comes before the first write, for the caller's transaction may go on.
            if name == MAIN_BRANCH or (source and family(source.root).filter(branch=name).exists()):
                raise BranchExists(f"conversation {at.key!r} has a branch {name!r} already")
            if source is None and seq and at.means_whole:
                raise MessageNotFound(f"conversation {at.key!r} shows no message at position {seq}")
            if source is None:
                source, _made_now = create(alias, at, {"version": 1})
            left = source.header
            made, parent = _made(source, name, left.last_seq if seq is None else seq)
            if switch:
                speak(source.root, _speaker(source), made)
            return _to_branch(made, source.root, parent), left

    return retrying(alias, write)


class Origin(Protocol):
    """Where a branch began in another database, and what its readers see: the messages after ``base_seq``."""

    @property
    def parent(self) -> str:
        """The name of the branch it shares messages with."""

    @property
    def fork_seq(self) -> int:
        """Up to which position."""

    @property
    def base_seq(self) -> int:
        """The position its readers see messages after."""

    @property
    def created_at(self) -> datetime | None:
        """When it was forked; None: now."""


def restore(alias: str, at: Address, origin: Origin) -> bool:
    """Make a branch as another database had it, inside the caller's transaction; False where there is one of its name.

    Raises:
        BranchNotFound: there is no such parent.
        MessageNotFound: the parent does not reach as far.
    """
    rows = lock(alias, structs.replace(at, branch=origin.parent))
    if rows is None:
        raise BranchNotFound(f"conversation {at.key!r} has no branch {origin.parent!r}")
    if family(rows.root).filter(branch=at.branch).exists():
        return False
    seq, base = origin.fork_seq, origin.base_seq
    if seq > rows.row.last_seq:
        raise MessageNotFound(f"branch {origin.parent!r} has no message at position {seq}")
    if base < min(seq, rows.row.base_seq):
        raise MessageNotFound(f"branch {origin.parent!r} no longer has what follows position {base}")
    line = lineage(rows.row)
    turn = line.turn_at(seq) if seq > rows.row.base_seq else 0
    _insert(rows.root, at.branch, line.owner(seq), seq=seq, base=base, turn=turn, created_at=origin.created_at)
    return True


def switch(alias: str, at: Address, name: str) -> Header | None:
    """The contract is ``BranchStore.switch``."""

    def write() -> Header | None:
        with own_or_callers(alias):
            held = lock(alias, at)
            if held is None and name == MAIN_BRANCH and at.means_whole:
                return None
            known = {row.branch: row for row in family(held.root)} if held else {}
            if held is None or name not in known:
                raise BranchNotFound(f"conversation {at.key!r} has no branch {name!r}")
            root, target, speaker = held.root, known[name], _speaker(held)
            if target.pk == speaker.pk:
                return None
            return speak(root, speaker, root if target.pk == root.pk else target)

    return retrying(alias, write)


def edit(alias: str, at: Address, message: Message) -> Commit:
    """The contract is ``BranchStore.edit``."""

    def write() -> Commit:
        with own_or_callers(alias):
            rows, seq = lock(alias, at), message.seq or 0
            stored = rows and lineage(rows.row).message_at(seq)
            if rows is None or stored is None:
                raise MessageNotFound(f"conversation {at.key!r} shows no message at position {seq}")
            before, now, given = rows.header, datetime.now(UTC), to_row(message)
            where = {"workspace_id": stored.workspace_id, "session_id": stored.session_id, "seq": seq}
            former = {"content": stored.content, "parts": stored.parts, "edited_at": now}
            RevisionRow.objects.using(alias).create(**where, **former)
            said = {"content": given.content, "parts": given.parts, "tokens": given.tokens}
            MessageRow.objects.using(alias).filter(**where).update(**said)
            edited = to_messages([[said.get(name, getattr(stored, name)) for name in READ_COLUMNS]])
            _move_all_below(rows, stored.session_id)
            return Commit(tuple(edited), rows.header, Change(rows.header, before.version, before.vtoken))

    return retrying(alias, write)


def revisions(alias: str, at: Address, seq: int) -> list[Revision]:
    """The contract is ``BranchStore.revisions``."""
    rows = find(alias, at)
    if rows is None or not rows.row.base_seq < seq <= rows.row.last_seq:
        return []
    former = RevisionRow.objects.using(alias).filter(
        workspace_id=rows.row.workspace_id, session_id=lineage(rows.row).owner(seq), seq=seq
    )
    return [Revision(seq, content_of(row.content, row.parts), row.edited_at) for row in former.order_by("id")]


def _speaker(rows: Rows) -> Session:
    """The branch that speaks, which need not be the one that is meant."""
    return _row(rows, rows.root.head_id or rows.root.pk)


def _row(rows: Rows, ident: Any) -> Session:
    """A row of the conversation; one that is there already is not read again."""
    return next((row for row in rows if row.pk == ident), None) or family(rows.root).get(pk=ident)


def _made(source: Rows, name: str, seq: int) -> tuple[Session, Session]:
    """A branch of the row that holds the position, and that row.

    Raises:
        MessageNotFound: the source does not show the position.
    """
    root, row = source
    if not row.base_seq <= seq <= row.last_seq:
        raise MessageNotFound(f"branch {row.branch!r} shows no message at position {seq}")
    line = lineage(row)
    parent = _row(source, line.owner(seq))
    return _insert(root, name, parent.pk, seq=seq, base=row.base_seq, turn=line.turn_at(seq)), parent


def _insert(
    root: Session, name: str, parent_id: Any, *, seq: int, base: int, turn: int, created_at: datetime | None = None
) -> Session:
    """A new branch that shares the positions up to ``seq`` and shows those after ``base``."""
    now = datetime.now(UTC)
    made = Session(
        id=uuid7(),
        workspace_id=root.workspace_id,
        key=root.key,
        branch=name,
        parent_id=parent_id,
        fork_seq=seq,
        base_seq=base,
        last_seq=max(seq, base),
        message_count=max(0, seq - base),
        last_turn=turn,
        version=1,
        vtoken=new_token(),
        created_at=created_at or now,
        updated_at=now,
    )
    made.save(using=root._state.db, force_insert=True)
    return made


def _move_all_below(rows: Rows, owner_id: Any) -> None:
    """Tell every branch that may share a position that a read of it answers otherwise now."""
    below = with_branches(family(rows.root), [owner_id])
    for row in family(rows.root).filter(pk__in=below):
        move(rows.row if row.pk == rows.row.pk else row)
    touch(rows)


def _to_branch(row: Session, root: Session, parent: Session | None) -> Branch:
    current = row.pk == (root.head_id or root.pk)
    counters = (row.fork_seq or 0, row.last_seq, row.message_count, row.version)
    return Branch(row.branch, parent.branch if parent else None, *counters, current, row.created_at, row.updated_at)
