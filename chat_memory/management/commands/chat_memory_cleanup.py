"""The command ``chat_memory_cleanup``; the work is in ``maintenance.retention``."""

from __future__ import annotations

from typing import Any

import msgspec
from django.core.management.base import CommandParser

from chat_memory.maintenance import retention
from chat_memory.management.command import JSON, TEXT, MaintenanceCommand, counted


class Command(MaintenanceCommand):
    """Remove what is due."""

    help = (
        "Remove for good: conversations that are not pinned and whose newest message is older than N days, those past "
        "their own expiry, messages that were cleared CLEARED_DAYS ago, and files that no message refers to. Abandoned "
        "drafts are stored as messages. A run may be killed; several may run at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The options of the command line."""
        parser.add_argument("--days", type=int, metavar="N", help="idle days (default: the setting RETENTION_DAYS)")
        parser.add_argument("--workspace", metavar="SLUG", help="in this workspace only")
        parser.add_argument("--dry-run", action="store_true", help="list the due conversations, and change nothing")
        parser.add_argument(
            "--batch-size",
            type=int,
            metavar="N",
            default=retention.BATCH_SIZE,
            help="conversations per transaction (%(default)s)",
        )
        parser.add_argument("--max-seconds", type=float, metavar="N", help="begin no batch after this many seconds")
        parser.add_argument(
            "--format", dest="report", choices=(TEXT, JSON), default=TEXT, help="the form of the result on stdout"
        )

    def run(self, **options: Any) -> None:
        """Clean up, or list."""
        if options["dry_run"]:
            self._list(options)
            return
        with self.progress("conversations removed") as progress:
            report = retention.clean_up(
                options["days"],
                workspace=options["workspace"],
                batch_size=options["batch_size"],
                max_seconds=options["max_seconds"],
                on_batch=progress.reach,
            )
        self.tell(report, _summary(report), options, self.stdout)

    def _list(self, options: dict[str, Any]) -> None:
        """Write ``workspace/key``, or a JSON object, on one line per conversation, and their number to stderr."""
        as_json, total = options["report"] == JSON, 0
        for doomed in retention.preview(options["days"], workspace=options["workspace"]):
            line = msgspec.json.encode(doomed).decode() if as_json else f"{doomed.workspace}/{doomed.key}"
            self.stdout.write(line, str)
            total += 1
        if options["verbosity"] > 0:
            self.stderr.write(f"{counted(total, 'conversation')} would go", str)


def _summary(report: retention.Report) -> str:
    removed = (
        f"{counted(report.sessions, 'conversation')} with {counted(report.messages, 'message')} removed, "
        f"and {counted(report.cleared, 'cleared message')}"
    )
    if report.attachments:
        removed += f"; {counted(report.attachments, 'file')} of attachments that no message refers to"
    if report.drafts:
        removed += f"; {counted(report.drafts, 'abandoned draft')} stored as messages"
    if not report.finished:
        removed += "; the time was up, the next run continues"
    if report.busy:
        removed += f"; {counted(report.busy, 'locked conversation')} left to the next run"
    return f"{removed}\n{_left(report)}" if report.entries_left else removed


def _left(report: retention.Report) -> str:
    """The number of entries that may still be in the cache, and until when."""
    entries = "1 cache entry" if report.entries_left == 1 else f"{report.entries_left} cache entries"
    until = "it evicts them" if report.left_until is None else f"{report.left_until:%Y-%m-%d %H:%M:%S} UTC"
    return f"up to {entries} of what was removed may stay in Redis until {until}, unless the next run can drop them"
