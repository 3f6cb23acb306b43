"""The command ``chat_memory_search_index``; what it does is for ``maintenance.indexing`` to say."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from chat_memory.maintenance import indexing
from chat_memory.management.command import JSON, TEXT, MaintenanceCommand, counted


class Command(MaintenanceCommand):
    """Fill the search index."""

    help = (
        "Put the messages that the search index lacks into it, such as those stored before chat_memory.search was "
        "installed, and those that it has by another SEARCH_CONFIG. May be killed, run again, run twice at once, "
        "and run while others write."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The options of the command line."""
        parser.add_argument("--workspace", metavar="SLUG", help="in this workspace only")
        parser.add_argument(
            "--batch-size",
            type=int,
            metavar="N",
            default=indexing.BATCH_SIZE,
            help="messages per transaction (%(default)s)",
        )
        parser.add_argument("--max-seconds", type=float, metavar="N", help="begin no batch after this time")
        parser.add_argument(
            "--format", dest="report", choices=(TEXT, JSON), default=TEXT, help="the form of the result on stdout"
        )

    def run(self, **options: Any) -> None:
        """Fill the index."""
        with self.progress("messages", indexing.missing(options["workspace"])) as progress:
            report = indexing.fill_index(
                options["workspace"],
                batch_size=options["batch_size"],
                max_seconds=options["max_seconds"],
                on_batch=progress.reach,
            )
        self.tell(report, _summary(report), options, self.stdout)


def _summary(report: indexing.Report) -> str:
    put = f"{counted(report.messages, 'message')} put into the index"
    if not report.finished:
        put += "; the time was up, the next run goes on"
    if report.busy:
        put += f"; {counted(report.busy, 'message')} of conversations that others hold left to the next run"
    return put
