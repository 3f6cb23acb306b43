"""Owns bringing whole conversations in, many a transaction: those that are new at once, the others one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from django.db import DataError, IntegrityError, transaction

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import ChatMemoryError
from chat_memory.models import Session, Summary
from chat_memory.records import Address, Transcript
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import Restored
from chat_memory.storage.orm.bulk import insert_messages
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.layout import Layout
from chat_memory.storage.orm.merging import Merge
from chat_memory.storage.orm.rows import header_of, workspace_id
from chat_memory.storage.orm.transactions import run_write

Pair = tuple[Address, Transcript]
Place = tuple[int, str]
"""A conversation by its workspace's id and its key."""


def restore(alias: str, batch: Sequence[Pair]) -> list[Restored]:
    """The contract is ``ArchiveStore.restore``."""
    return run_write(alias, partial(_restore, alias, batch), whole=True) if batch else []


def _restore(alias: str, batch: Sequence[Pair], *, nested: bool) -> list[Restored]:
    ids = {slug: workspace_id(alias, slug) for slug in sorted({at.workspace for at, _transcript in batch})}
    places = [(ids[at.workspace], at.key) for at, _transcript in batch]
    stored = _stored(alias, places)
    # Of two lines about one conversation the first may make it; the other adds to it.
    first = {place: index for index, place in reversed([*enumerate(places)])}
    new = [first[place] for place in sorted(first.keys() - stored)]
    done = _make(alias, {index: batch[index] for index in new}, ids, nested=nested)
    # Locked in one order by all processes, so that two imports do not wait for each other for ever.
    rest = sorted(set(range(len(batch))) - done.keys(), key=lambda index: (places[index], index))
    done |= {index: _merge(alias, batch[index], nested=nested) for index in rest}
    return [done[index] for index in range(len(batch))]


def _stored(alias: str, places: Sequence[Place]) -> set[Place]:
    """Which of the conversations are there already, those included that are deleted but still there."""
    keys: dict[int, list[str]] = {}
    for workspace, key in places:
        keys.setdefault(workspace, []).append(key)
    stored: set[Place] = set()
    for workspace, wanted in keys.items():
        rows = Session.objects.using(alias).filter(workspace_id=workspace, key__in=wanted, branch=MAIN_BRANCH)
        stored.update((workspace, key) for key in rows.values_list("key", flat=True))
    return stored


def _make(alias: str, pairs: Mapping[int, Pair], ids: Mapping[str, int], *, nested: bool) -> dict[int, Restored]:
    """Make new conversations at once, and say of each by its number what was done.

    None of them is made, and none is in the answer, where the database refuses one: another process was faster.
    """
    now = datetime.now(UTC)
    done: dict[int, Restored] = {}
    layouts: dict[int, Layout] = {}
    for index, (at, transcript) in pairs.items():
        try:
            layouts[index] = Layout(at, ids[at.workspace], transcript, now)
        except ChatMemoryError as error:
            done[index] = Restored(error=error)
    try:
        with transaction.atomic(using=alias):
            _insert(alias, list(layouts.values()))
    except (IntegrityError, DataError):
        return done
    for index, layout in layouts.items():
        done[index] = Restored(made=True, messages=len(layout.messages))
        _tell(alias, pairs[index][0], layout, nested=nested)
    return done


def _insert(alias: str, layouts: Sequence[Layout]) -> None:
    Session.objects.using(alias).bulk_create([row.session for layout in layouts for row in layout.rows])
    insert_messages(alias, [message for layout in layouts for message in layout.messages])
    Summary.objects.using(alias).bulk_create([summary for layout in layouts for summary in layout.summaries])


def _tell(alias: str, at: Address, layout: Layout, *, nested: bool) -> None:
    for row in layout.rows:
        made = {"made": True} if row.parent is None else {"parent": row.parent.session.branch}
        header = header_of(row.session)
        changed_row(alias, Kind.RESTORED, at, row.session, header, nested=nested, **row.positions, **made)


def _merge(alias: str, pair: Pair, *, nested: bool) -> Restored:
    """Give a conversation what it lacks, or nothing where some of that is refused."""
    try:
        with transaction.atomic(using=alias):
            return Merge(alias, *pair, nested=nested).run()
    except ChatMemoryError as error:
        return Restored(error=error)
