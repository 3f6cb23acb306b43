"""Owns what the commands share: refusals in one line, progress on a terminal, the result as text or JSON."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Any

import msgspec
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import Error

from chat_memory.complaints import words_for
from chat_memory.exceptions import ChatMemoryError, ValidationError

TEXT, JSON = "text", "json"
BROKEN_PIPE = 141
"""The exit status of a program whose reader went away: 128 and the number of SIGPIPE."""
_BAR = 30
_SECONDS_BETWEEN = 0.1


class MaintenanceCommand(BaseCommand):
    """A command over ``chat_memory.maintenance``: exit status 0, or 1 and on stderr what was refused."""

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the command; whatever it refuses becomes a CommandError."""
        try:
            self.run(**options)
            self.stdout.flush()
        except BrokenPipeError:
            # Python flushes stdout once more at its end: let that go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(BROKEN_PIPE) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise _refusal(f"{error.filename}: {reason}" if error.filename else reason) from error
        except ValidationError as error:
            raise _refusal(_by_option(error, options)) from error
        except (ChatMemoryError, ImproperlyConfigured) as error:
            raise _refusal(str(error)) from error
        except Error as error:
            raise _refusal(_of_database(error)) from error

    def run(self, **options: Any) -> None:
        """What the command does.

        Raises:
            ChatMemoryError: it is refused.
        """
        raise NotImplementedError

    def tell(self, report: msgspec.Struct, text: str, options: dict[str, Any], stream: OutputWrapper) -> None:
        """The result: JSON where it is asked for, else the text unless told to be silent."""
        if options["report"] == JSON:
            stream.write(msgspec.json.encode(report).decode(), str)
        elif options["verbosity"] > 0:
            stream.write(text, str)

    def progress(self, unit: str, total: int | None = None) -> Progress:
        """A progress bar on stderr; a mere count where the total is not known."""
        return Progress(self.stderr, unit, total)


class FillingCommand(MaintenanceCommand):
    """A command that makes, in batches, what messages lack.

    Attributes:
        batch_size: how much a batch takes where nobody says.
        batch_is: what a batch is, for the help.
    """

    batch_size: int
    batch_is: str

    def add_arguments(self, parser: CommandParser) -> None:
        """The options of the command line."""
        parser.add_argument("--workspace", metavar="SLUG", help="in this workspace only")
        parser.add_argument(
            "--batch-size", type=int, metavar="N", default=self.batch_size, help=f"{self.batch_is} (%(default)s)"
        )
        parser.add_argument("--max-seconds", type=float, metavar="N", help="begin no batch after so many seconds")
        parser.add_argument(
            "--format", dest="report", choices=(TEXT, JSON), default=TEXT, help="the form of the result on stdout"
        )

    def run(self, **options: Any) -> None:
        """Make what is missing."""
        with self.progress("messages", self.missing(options["workspace"])) as progress:
            report = self.fill(
                options["workspace"],
                batch_size=options["batch_size"],
                max_seconds=options["max_seconds"],
                on_batch=progress.reach,
            )
        done = self.done(report)
        if not report.finished:
            done += "; the time was up, the next run goes on"
        if report.busy:
            done += f"; {counted(report.busy, 'message')} of conversations that others hold left to the next run"
        self.tell(report, done, options, self.stdout)

    def missing(self, workspace: str | None) -> int:
        """How many messages lack it."""
        raise NotImplementedError

    def fill(self, workspace: str | None, **bounds: Any) -> Any:
        """Make it, and report with ``finished`` and ``busy``."""
        raise NotImplementedError

    def done(self, report: Any) -> str:
        """What was made, in words."""
        raise NotImplementedError


def _refusal(text: str) -> CommandError:
    """A refusal that every stream takes, whatever bytes there are in the names of files."""
    return CommandError(text.encode(errors="backslashreplace").decode())


def _of_database(error: Error) -> str:
    """What the database said, which PostgreSQL begins with a line for people, and what an operator can do about it."""
    said = str(error).strip().partition("\n")[0]
    is_unmigrated = words_for(error) in ("no such table", "no such column")
    return f"{said} (the database lacks what the installed apps need: run migrate)" if is_unmigrated else said


def counted(size: int, noun: str) -> str:
    """A number and what it counts: 1 line, 2 lines."""
    return f"{size} {noun}" if size == 1 else f"{size} {noun}s"


def _by_option(error: ValidationError, options: dict[str, Any]) -> str:
    """What is wrong, by the name the operator gave it: --max-seconds for the argument max_seconds."""
    if error.field not in options:
        return str(error)
    return f"--{error.field.replace('_', '-')} {error.reason}"


class Progress:
    """A line that is drawn again and again on a terminal; where the stream is none, nothing is drawn."""

    def __init__(self, stream: OutputWrapper, unit: str, total: int | None) -> None:
        self._stream = stream
        self._unit = unit
        self._total = total
        self._done = 0
        self._shown = stream.isatty()
        self._next = 0.0
        self._width = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._width:
            self.clear()

    def add(self, size: int) -> None:
        """That much more is done."""
        self.reach(self._done + size)

    def reach(self, done: int) -> None:
        """That much is done in all."""
        self._done = done
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS_BETWEEN
            self._draw(self._line())

    def clear(self) -> None:
        """Take the line away, so that something else can be written."""
        if self._width:
            self._draw("")
            self._stream.write("\r", str, "")
            self._width = 0

    def _line(self) -> str:
        if not self._total:
            return f"{self._done:,} {self._unit}"
        share = min(self._done / self._total, 1.0)
        return f"[{'#' * int(share * _BAR):<{_BAR}}] {share:4.0%}"

    def _draw(self, line: str) -> None:
        self._stream.write(f"\r{line:<{self._width}}", str, "")
        self._stream.flush()
        self._width = len(line)
