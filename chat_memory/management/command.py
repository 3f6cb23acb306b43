"""Owns what the commands share: errors in one line, progress on a terminal, the result as text or JSON."""

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
"""The exit status of a program whose output pipe was closed: 128 plus the number of SIGPIPE."""
_BAR = 30
_SECONDS_BETWEEN = 0.1


class MaintenanceCommand(BaseCommand):
    """A command over ``chat_memory.maintenance``: exit status 0, or 1 with the error on stderr."""

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the command; expected errors become a CommandError."""
        try:
            self.run(**options)
            self.stdout.flush()
        except BrokenPipeError:
            # Python flushes stdout once more when it exits; let that write to the null device.
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
        """Do the command's work.

        Raises:
            ChatMemoryError: the command cannot do what the options ask for.
        """
        raise NotImplementedError

    def tell(self, report: msgspec.Struct, text: str, options: dict[str, Any], stream: OutputWrapper) -> None:
        """Write the result: JSON if that is requested, else the text, unless the verbosity is 0."""
        if options["report"] == JSON:
            stream.write(msgspec.json.encode(report).decode(), str)
        elif options["verbosity"] > 0:
            stream.write(text, str)

    def progress(self, unit: str, total: int | None = None) -> Progress:
        """A progress bar on stderr; only a count if the total is not known."""
        return Progress(self.stderr, unit, total)


class FillingCommand(MaintenanceCommand):
    """A command that computes, in batches, data that messages lack.

    Attributes:
        batch_size: the default size of a batch.
        batch_is: what the batch size counts, for the help.
    """

    batch_size: int
    batch_is: str

    def add_arguments(self, parser: CommandParser) -> None:
        """The options of the command line."""
        parser.add_argument("--workspace", metavar="SLUG", help="in this workspace only")
        parser.add_argument(
            "--batch-size", type=int, metavar="N", default=self.batch_size, help=f"{self.batch_is} (%(default)s)"
        )
        parser.add_argument("--max-seconds", type=float, metavar="N", help="begin no batch after this many seconds")
        parser.add_argument(
            "--format", dest="report", choices=(TEXT, JSON), default=TEXT, help="the form of the result on stdout"
        )

    def run(self, **options: Any) -> None:
        """Compute what is missing."""
        with self.progress("messages", self.missing(options["workspace"])) as progress:
            report = self.fill(
                options["workspace"],
                batch_size=options["batch_size"],
                max_seconds=options["max_seconds"],
                on_batch=progress.reach,
            )
        done = self.done(report)
        if not report.finished:
            done += "; the time was up, the next run continues"
        if report.busy:
            done += f"; {counted(report.busy, 'message')} of locked conversations left to the next run"
        self.tell(report, done, options, self.stdout)

    def missing(self, workspace: str | None) -> int:
        """The number of messages that lack the data."""
        raise NotImplementedError

    def fill(self, workspace: str | None, **bounds: Any) -> Any:
        """Compute the data, and return a report with ``finished`` and ``busy``."""
        raise NotImplementedError

    def done(self, report: Any) -> str:
        """The result, in words."""
        raise NotImplementedError


def _refusal(text: str) -> CommandError:
    """A CommandError whose text every stream can encode, whatever bytes file names contain."""
    return CommandError(text.encode(errors="backslashreplace").decode())


def _of_database(error: Error) -> str:
    """The first line of the database's error, and, if tables or columns are missing, the advice to migrate."""
    said = str(error).strip().partition("\n")[0]
    is_unmigrated = words_for(error) in ("no such table", "no such column")
    return f"{said} (the database lacks what the installed apps need: run migrate)" if is_unmigrated else said


def counted(size: int, noun: str) -> str:
    """A number and what it counts: 1 line, 2 lines."""
    return f"{size} {noun}" if size == 1 else f"{size} {noun}s"


def _by_option(error: ValidationError, options: dict[str, Any]) -> str:
    """The error text with the option's name, such as --max-seconds for the argument max_seconds."""
    if error.field not in options:
        return str(error)
    return f"--{error.field.replace('_', '-')} {error.reason}"


class Progress:
    """A line that is redrawn on a terminal; on any other stream, nothing is drawn."""

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
        """Note that this much more is done."""
        self.reach(self._done + size)

    def reach(self, done: int) -> None:
        """Note that this much is done in all."""
        self._done = done
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS_BETWEEN
            self._draw(self._line())

    def clear(self) -> None:
        """Erase the line, so that something else can be written."""
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
