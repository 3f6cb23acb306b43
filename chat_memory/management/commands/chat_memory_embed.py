"""The command ``chat_memory_embed``; what it does is for ``maintenance.embedding`` to say."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from chat_memory.history.embedding import BATCH_SIZE
from chat_memory.maintenance import embedding
from chat_memory.management.command import JSON, TEXT, MaintenanceCommand, counted


class Command(MaintenanceCommand):
    """Embed messages ahead."""

    help = (
        "Embed the messages that have no embedding of EMBEDDER's model, so that the first question about a "
        "conversation need not. May be killed, run again, run twice at once, and run while others write."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The options of the command line."""
        parser.add_argument("--workspace", metavar="SLUG", help="in this workspace only")
        parser.add_argument(
            "--batch-size",
            type=int,
            metavar="N",
            default=BATCH_SIZE,
            help="texts that the embedder is given at once (%(default)s)",
        )
        parser.add_argument("--max-seconds", type=float, metavar="N", help="begin no batch after this time")
        parser.add_argument(
            "--format", dest="report", choices=(TEXT, JSON), default=TEXT, help="the form of the result on stdout"
        )

    def run(self, **options: Any) -> None:
        """Embed what is missing."""
        with self.progress("messages", embedding.missing(options["workspace"])) as progress:
            report = embedding.embed(
                options["workspace"],
                batch_size=options["batch_size"],
                max_seconds=options["max_seconds"],
                on_batch=progress.reach,
            )
        self.tell(report, _summary(report), options, self.stdout)


def _summary(report: embedding.Report) -> str:
    done = f"{counted(report.messages, 'message')} embedded, {counted(report.texts, 'text')} given to the embedder"
    if not report.finished:
        done += "; the time was up, the next run goes on"
    if report.busy:
        done += f"; {counted(report.busy, 'message')} of conversations that others hold left to the next run"
    return done
