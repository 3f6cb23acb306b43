"""Owns a file that appears under its name complete or not at all."""

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
"""Seconds after which a temporary file that no process holds is taken for the leftover of a killed export."""


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """Open a new file for writing, which gets its name when it is complete; only its owner may read it.

    Raises:
        OSError: it exists and ``force`` is not given, or it cannot be written.
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
    """Lock the file until it is closed; False where another process holds it, or the file system knows no locks."""
    with suppress(OSError):
        return locks.lock(file, _HELD)
    return False


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary files that killed exports to the same file have left, for they hold conversations."""
    name = re.compile(re.escape(_prefix(path)) + r"[a-z0-9_]{8}\.part")
    with suppress(OSError):  # where the folder cannot be listed, the export goes on
        for beside in list(path.parent.iterdir()):
            if name.fullmatch(beside.name) and _is_abandoned(beside):
                beside.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    with suppress(OSError):  # somebody else's, or gone already
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > _ABANDONED:
            with path.open("r+b") as file:
                return _hold(file)
    return False


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors name the file that was asked for, not the temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _check_free(path: Path, *, force: bool) -> None:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    if path.exists() and not force:
        raise FileExistsError(errno.EEXIST, "exists already, and would be replaced only with --force", str(path))
