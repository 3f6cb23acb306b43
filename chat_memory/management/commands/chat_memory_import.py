"""The command ``chat_memory_import``; the work is in ``maintenance.transfer``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat_memory.maintenance.formats.lines import AUTO, CHAT_MEMORY, OPENAI
from chat_memory.maintenance.transfer import importing
from chat_memory.management.command import JSON, TEXT, MaintenanceCommand, counted


class Command(MaintenanceCommand):
    """Import conversations, one per line."""

    help = "Import conversations from JSON Lines, one per line. A second import of the same file adds nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        """The options of the command line."""
        parser.add_argument("path", help="the file; - is standard input")
        parser.add_argument(
            "--workspace",
            required=True,
            metavar="SLUG",
            help="the target workspace; created if it does not exist and CREATE_WORKSPACES allows it",
        )
        parser.add_argument(
            "--format", choices=(AUTO, CHAT_MEMORY, OPENAI), default=AUTO, help="the format of the lines"
        )
        parser.add_argument(
            "--timezone",
            default="UTC",
            metavar="NAME",
            help="the time zone of times without an offset, such as Europe/Berlin (%(default)s)",
        )
        parser.add_argument("--report", choices=(TEXT, JSON), default=TEXT, help="the form of the result on stdout")

    def run(self, **options: Any) -> None:
        """Import; damaged lines are named on stderr as they come.

        Raises:
            CommandError: there were damaged lines.
        """
        with _lines(options["path"]) as (lines, size), self.progress("bytes", size) as progress:

            def tell_fault(fault: importing.Fault) -> None:
                progress.clear()
                self.stderr.write(f"line {fault.line}: {fault.reason}")

            report = importing.import_conversations(
                lines,
                options["workspace"],
                form=options["format"],
                timezone=options["timezone"],
                on_line=progress.add,
                on_fault=tell_fault,
            )
        self.tell(report, _summary(report, options["timezone"]), options, self.stdout)
        if report.damaged:
            raise CommandError(f"left out {report.damaged} damaged of {counted(report.lines, 'line')}")


@contextmanager
def _lines(path: str) -> Iterator[tuple[Iterator[bytes], int | None]]:
    """The lines of a file or of standard input, and their size in bytes if it is known."""
    if path == "-":
        stdin = getattr(sys.stdin, "buffer", None)
        yield (iter(stdin) if stdin else (line.encode(errors="surrogatepass") for line in sys.stdin)), None
        return
    with Path(path).open("rb") as file:
        yield iter(file), os.fstat(file.fileno()).st_size


def _summary(report: importing.Report, zone: str) -> str:
    naive = f"; {counted(report.naive_times, 'time')} without an offset, taken as {zone}" if report.naive_times else ""
    done = (
        f"{counted(report.lines, 'line')} read: {report.sessions} new, "
        f"{counted(report.messages, 'message')} added, {report.replayed} known already{naive}"
    )
    if not report.further_keys:
        return done
    keys = ", ".join(f"{name} ({number})" for name, number in report.further_keys.items())
    return f"{done}\nkept, but without a field of their own: {keys}"
