"""The command ``chat_memory_stats``; the counting is in ``maintenance.statistics``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from chat_memory.maintenance import statistics
from chat_memory.management.command import JSON, MaintenanceCommand

TABLE, CSV = "table", "csv"


class Command(MaintenanceCommand):
    """Count what is stored."""

    help = "Count workspaces, conversations and messages."

    def add_arguments(self, parser: CommandParser) -> None:
        """The options of the command line."""
        parser.add_argument("--workspace", metavar="SLUG", help="this workspace only")
        parser.add_argument(
            "--format",
            dest="report",
            choices=(TABLE, JSON, CSV),
            default=TABLE,
            help="the form of the result on stdout",
        )

    def run(self, **options: Any) -> None:
        """Count."""
        report = statistics.collect(options["workspace"])
        if options["report"] == CSV:
            counts = _flat(report)
            csv.writer(self.stdout, lineterminator="").writerows([counts, counts.values()])
        else:
            self.tell(report, _table(_flat(report)), options | {"verbosity": 1}, self.stdout)


def _flat(report: statistics.Report) -> dict[str, str]:
    """All counts by name; those of the roles follow that of the messages."""
    return {
        "workspaces": str(report.workspaces),
        "sessions": str(report.sessions),
        "messages": str(report.messages),
        **{role: str(count) for role, count in report.roles.items()},
        "oldest": _shown(report.oldest),
        "newest": _shown(report.newest),
    }


def _table(counts: Mapping[str, str]) -> str:
    return "\n".join(f"{name:<10} {count:>32}" for name, count in counts.items())


def _shown(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""
