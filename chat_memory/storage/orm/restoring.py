"""Owns the restoring of conversations, many per transaction: new ones all at once, existing ones one by one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from uuid import UUID

from django.db import DataError, IntegrityError, OperationalError, transaction

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import ChatMemoryError
from chat_memory.models import Feedback, Session, Summary
from chat_memory.records import Address, Transcript
from chat_memory.rules.attachments import hashes
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import Restored
from chat_memory.storage.orm import beside
from chat_memory.storage.orm.bulk import insert_messages
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.layout import Layout
from chat_memory.storage.orm.merging import Merge
from chat_memory.storage.orm.passing import has_timed_out
from chat_memory.storage.orm.referring import lock_stored, refer
from chat_memory.storage.orm.rows import header_of, workspace_id
from chat_memory.storage.orm.transactions import run_write
from chat_memory.storage.orm.waiting import busy

Pair = tuple[Address, Transcript]
Place = tuple[int, str]
"""The workspace's id and the key of a conversation."""


def restore(alias: str, batch: Sequence[Pair]) -> list[Restored]:
    """See ``ArchiveStore.restore``."""
    return run_write(alias, partial(_restore, alias, batch), whole=True) if batch else []


def _restore(alias: str, batch: Sequence[Pair], *, nested: bool) -> list[Restored]:
    ids = {slug: workspace_id(alias, slug) for slug in sorted({at.workspace for at, _transcript in batch})}
    places = [(ids[at.workspace], at.key) for at, _transcript in batch]
    stored = _stored(alias, places)
    # If two transcripts have the same key, the first may create the conversation, and the second is merged into it.
    first = {place: index for index, place in reversed([*enumerate(places)])}
    new = [first[place] for place in sorted(first.keys() - stored)]
    done = _make(alias, {index: batch[index] for index in new}, ids, nested=nested)
    # All processes lock conversations in the same order, so that two imports cannot deadlock.
    rest = sorted(set(range(len(batch))) - done.keys(), key=lambda index: (places[index], index))
    done |= {index: _merge(alias, batch[index], nested=nested) for index in rest}
    _keep_attachments(alias, batch, ids)
    return [done[index] for index in range(len(batch))]


def _keep_attachments(alias: str, batch: Sequence[Pair], ids: Mapping[str, int]) -> None:
    """Protect the attachments of the transcripts from removal before the commit; missing ones stay missing."""
    wanted: dict[str, set[str]] = {}
    for at, transcript in batch:
        messages = chain(transcript.messages, *(branch.messages for branch in transcript.branches))
        wanted.setdefault(at.workspace, set()).update(hashes(message.content for message in messages))
    for slug in sorted(wanted):
        lock_stored(alias, ids[slug], wanted[slug])


def _stored(alias: str, places: Sequence[Place]) -> set[Place]:
    """The conversations that exist already, soft-deleted ones included."""
    keys: dict[int, list[str]] = {}
    for workspace, key in places:
        keys.setdefault(workspace, []).append(key)
    stored: set[Place] = set()
    for workspace, wanted in keys.items():
        rows = Session.objects.using(alias).filter(workspace_id=workspace, key__in=wanted, branch=MAIN_BRANCH)
        stored.update((workspace, key) for key in rows.values_list("key", flat=True))
    return stored


def _make(alias: str, pairs: Mapping[int, Pair], ids: Mapping[str, int], *, nested: bool) -> dict[int, Restored]:
    """Create new conversations with a few statements, and return the results by index.

    If the database refuses a row, for example because another process has created the conversation meanwhile, none is
    created, and the results have only the transcripts that are invalid; the caller then merges the others one by one.
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
            _write_beside(alias, {index: pairs[index][0] for index in layouts}, layouts)
    except (IntegrityError, DataError):
        return done
    except OperationalError as error:
        if has_timed_out(error):  # another process is making one of them
            return done
        raise
    for index, layout in layouts.items():
        done[index] = Restored(made=True, messages=len(layout.messages))
        _tell(alias, pairs[index][0], layout, nested=nested)
    return done


def _insert(alias: str, layouts: Sequence[Layout]) -> None:
    Session.objects.using(alias).bulk_create([row.session for layout in layouts for row in layout.rows])
    insert_messages(alias, [message for layout in layouts for message in layout.messages])
    Summary.objects.using(alias).bulk_create([summary for layout in layouts for summary in layout.summaries])
    Feedback.objects.using(alias).bulk_create([each for layout in layouts for each in layout.feedback])
    for layout in layouts:
        if layout.contents:
            root = layout.rows[0].session
            refer(alias, root.workspace_id, root.pk, layout.contents)


def _write_beside(alias: str, places: Mapping[int, Address], layouts: Mapping[int, Layout]) -> None:
    """Write the rows of sub-apps beside the messages, by one statement for each workspace."""
    rows: dict[tuple[str, int], list[UUID]] = {}
    for index, layout in layouts.items():
        sessions = [row.session for row in layout.rows]
        rows.setdefault((places[index].workspace, sessions[0].workspace_id), []).extend(each.pk for each in sessions)
    for (slug, number), ids in rows.items():
        beside.write_all(alias, slug, number, ids)


def _tell(alias: str, at: Address, layout: Layout, *, nested: bool) -> None:
    for row in layout.rows:
        made = {"made": True} if row.parent is None else {"parent": row.parent.session.branch}
        header = header_of(row.session)
        changed_row(alias, Kind.RESTORED, at, row.session, header, nested=nested, **row.positions, **made)


def _merge(alias: str, pair: Pair, *, nested: bool) -> Restored:
    """Merge a transcript into its conversation; nothing is stored if any part of it is refused."""
    begin = time.monotonic()
    try:
        with transaction.atomic(using=alias):
            return Merge(alias, *pair, nested=nested).run()
    except ChatMemoryError as error:
        return Restored(error=error)
    except OperationalError as error:
        if has_timed_out(error):
            return Restored(error=busy(alias, pair[0], begin))
        raise
