"""Owns the writing of a file that appears under its name only when it is complete."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from django.core.files import locks

_HELD = locks.LOCK_EX | locks.LOCK_NB
_ABANDONED = 60.0
"""Seconds after its last change at which an unlocked temporary file counts as left behind by a killed export."""


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file for writing, which is renamed to ``path`` when the block ends without an error.

    Only the user who runs the export may read the file.

    Raises:
        OSError: the file exists and ``force`` is False, ``path`` is not a regular file, or it cannot be written.
    """
    _check_free(path, force=force)
    with _naming(path):
        descriptor, name = tempfile.mkstemp(prefix=_prefix(path), suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _hold(file)
            _remove_abandoned(path)
            yield file
            file.flush()
            os.fsync(file.fileno())
        _check_free(path, force=force)
        with _naming(path):
            Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _prefix(path: Path) -> str:
    return f".{path.name[:100]}."


def _hold(file: IO[bytes]) -> bool:
    """Lock the file until it is closed; False if another process has locked it or the file system has no locks."""
    with suppress(OSError):
        return locks.lock(file, _HELD)
    return False


def _remove_abandoned(path: Path) -> None:
    """Delete the temporary files that killed exports to the same path left behind: they contain conversations."""
    name = re.compile(re.escape(_prefix(path)) + r"[a-z0-9_]{8}\.part")
    with suppress(OSError):  # the export continues if the folder cannot be listed
        for beside in list(path.parent.iterdir()):
            if name.fullmatch(beside.name) and _is_abandoned(beside):
                beside.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    with suppress(OSError):  # it belongs to another user, or was deleted meanwhile
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > _ABANDONED:
            with path.open("r+b") as file:
                return _hold(file)
    return False


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors in the block name the requested file, not the temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _check_free(path: Path, *, force: bool) -> None:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    if path.exists() and not force:
        raise FileExistsError(errno.EEXIST, "exists already; pass --force to replace it", str(path))
