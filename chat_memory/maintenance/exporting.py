"""Owns the export, conversation by conversation in the order of their keys; it must not change anything stored."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

import msgspec
from django.core.files import locks

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import SessionNotFound
from chat_memory.history.naming import address_of
from chat_memory.history.validation import check_key
from chat_memory.maintenance import spreadsheet
from chat_memory.maintenance.formats import CHAT_MEMORY, LINE_WRITERS, Transcript
from chat_memory.maintenance.lines import branch_lines, summary_lines
from chat_memory.maintenance.tenants import database, workspace_id
from chat_memory.models import Session
from chat_memory.records import Slice
from chat_memory.storage.base import SESSION_FIELDS
from chat_memory.storage.orm import DjangoAdapter

PAGE = 200
CSV = "csv"
WRITERS: Mapping[str, Callable[[Transcript], bytes]] = {**LINE_WRITERS, CSV: spreadsheet.write_rows}
"""By the name of the format."""
_HELD = locks.LOCK_EX | locks.LOCK_NB
_ABANDONED = 60.0
"""After so many seconds a temporary file that no process holds is what a killed export has left."""


class Report(msgspec.Struct, frozen=True):
    """How many conversations and messages an export holds."""

    sessions: int = 0
    messages: int = 0


def export_conversations(
    write: Callable[[bytes], object],
    workspace: str,
    *,
    key: str | None = None,
    user_key: str | None = None,
    form: str = CHAT_MEMORY,
    using: str | None = None,
    on_session: Callable[[int], None] = lambda _: None,
) -> Report:
    """Write the conversations of a workspace; no more than one is held in memory.

    Each conversation is as it was at one moment, not all at the same: an export does not hold up who is writing.

    Args:
        write: takes bytes.
        workspace: the slug.
        key: this conversation only.
        user_key: those of this user only.
        form: chat_memory, openai or csv.
        using: the database alias; None: where the router writes sessions.
        on_session: called after each conversation with how many are done.

    Raises:
        WorkspaceNotFound: there is no such workspace.
        SessionNotFound: there is no conversation of that key (and of that user, where one is given).
        ValidationError: the slug or a key is not one.
    """
    for field, given in (("session", key), ("user_key", user_key)):
        if given is not None:
            check_key(given, field)
    alias = database(using)
    names = {"workspace_id": workspace_id(alias, workspace), "key": key, "user_key": user_key}
    render = WRITERS[form]
    if form == CSV:
        write(spreadsheet.header())
    sessions = messages = 0
    for session in _sessions(alias, {name: value for name, value in names.items() if value is not None}):
        transcript = _whole(session) if form == CHAT_MEMORY else _spoken(session)
        if transcript is None:
            continue
        write(render(transcript))
        sessions += 1
        messages += sum(map(len, (transcript.messages, *(branch.messages for branch in transcript.branches))))
        on_session(sessions)
    if key is not None and not sessions:
        raise SessionNotFound(f"workspace {workspace!r} has no such conversation: {key!r}")
    return Report(sessions, messages)


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """A file that appears under its name complete or not at all; only its owner may read it.

    Raises:
        OSError: it exists and ``force`` is not given, or it cannot be written.
    """
    _check_free(path, force=force)
    with _speaking_of(path):
        descriptor, name = tempfile.mkstemp(prefix=_prefix(path), suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _hold(file)
            _remove_abandoned(path)
            yield file
            file.flush()
            os.fsync(file.fileno())
        _check_free(path, force=force)
        with _speaking_of(path):
            Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _prefix(path: Path) -> str:
    return f".{path.name[:100]}."


def _hold(file: IO[bytes]) -> bool:
    """Lock the file until it is closed; False where another process holds it, or the file system knows no locks."""
    with suppress(OSError):
        return locks.lock(file, _HELD)
    return False


def _remove_abandoned(path: Path) -> None:
    """Remove what killed exports to the same file have left beside it: it holds conversations."""
    name = re.compile(re.escape(_prefix(path)) + r"[a-z0-9_]{8}\.part")
    with suppress(OSError):  # where the folder cannot be listed, the export goes on
        for found in list(path.parent.iterdir()):
            if name.fullmatch(found.name) and _is_abandoned(found):
                found.unlink(missing_ok=True)


def _is_abandoned(found: Path) -> bool:
    with suppress(OSError):  # somebody else's, or gone already
        status = found.lstat()
        if stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > _ABANDONED:
            with found.open("r+b") as file:
                return _hold(file)
    return False


@contextmanager
def _speaking_of(path: Path) -> Iterator[None]:
    """An error names the file that was asked for, not the one it is for the time being."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _check_free(path: Path, *, force: bool) -> None:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    if path.exists() and not force:
        raise FileExistsError(errno.EEXIST, "exists already, and would be replaced only with --force", str(path))


def _sessions(alias: str, names: Mapping[str, Any]) -> Iterator[Session]:
    """Page by page along the index of the keys: no cursor stays open, whatever pooler is in between."""
    rows = Session.objects.using(alias).filter(parent__isnull=True, deleted_at__isnull=True, **names)
    rows = rows.select_related("workspace").order_by("key")
    page = list(rows[:PAGE])
    while page:
        yield from page
        page = list(rows.filter(key__gt=page[-1].key)[:PAGE])


def _spoken(session: Session) -> Transcript | None:
    """What the conversation shows; None where it was deleted meanwhile."""
    # Past the cache: an export would fill it with what nobody is reading.
    found = DjangoAdapter(session._state.db).read(address_of(session))
    return _transcript(session, found) if found.header else None


def _whole(session: Session) -> Transcript | None:
    """The conversation with all its branches and summaries, as they were at one moment; None where it was deleted."""
    adapter, main = DjangoAdapter(session._state.db), msgspec.structs.replace(address_of(session), branch=MAIN_BRANCH)
    while True:
        before = adapter.branches(main)
        found = adapter.read(main)
        if found.header is None:
            return None
        branches = branch_lines(adapter, main, found.header.base_seq)
        summaries = summary_lines(adapter, main)
        after = adapter.branches(main)
        if after == before or not (len(after) > 1 or summaries):
            return msgspec.structs.replace(_transcript(session, found), branches=branches, summaries=summaries)


def _transcript(session: Session, found: Slice) -> Transcript:
    fields = {field: getattr(session, field) for field in SESSION_FIELDS}
    base_seq = found.header.base_seq if found.header else 0
    return Transcript(session.key, found.messages, session.user_key, session.created_at, base_seq, fields)
