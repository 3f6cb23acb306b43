"""The command ``chat_memory_export``; the work is in ``maintenance.transfer``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from chat_memory.maintenance.formats.lines import CHAT_MEMORY
from chat_memory.maintenance.transfer import exporting, files
from chat_memory.management.command import JSON, TEXT, MaintenanceCommand, counted


class Command(MaintenanceCommand):
    """Export the conversations of a workspace."""

    help = "Export a workspace's conversations, in the order of their keys. The file appears only when it is complete."

    def add_arguments(self, parser: CommandParser) -> None:
        """The options of the command line."""
        parser.add_argument("path", help="the file; - is standard output")
        parser.add_argument("--workspace", required=True, metavar="SLUG", help="the workspace to export")
        parser.add_argument("--session", metavar="KEY", help="this conversation only")
        parser.add_argument("--user-key", metavar="KEY", help="the conversations of this user only")
        parser.add_argument(
            "--format", choices=tuple(exporting.WRITERS), default=CHAT_MEMORY, help="the format of the file"
        )
        parser.add_argument("--force", action="store_true", help="replace an existing file")
        parser.add_argument(
            "--report", choices=(TEXT, JSON), default=TEXT, help="the form of the result on stdout (with -: on stderr)"
        )

    def run(self, **options: Any) -> None:
        """Export."""
        if options["path"] == "-":
            report = self._export(self._write, options)
            self.tell(report, _summary(report), options, self.stderr)
            return
        with files.new_file(Path(options["path"]), force=options["force"]) as file:
            report = self._export(file.write, options)
        self.tell(report, _summary(report), options, self.stdout)

    def _export(self, write: Any, options: dict[str, Any]) -> exporting.Report:
        with self.progress("conversations") as progress:
            return exporting.export_conversations(
                write,
                options["workspace"],
                key=options["session"],
                user_key=options["user_key"],
                form=options["format"],
                on_session=progress.reach,
            )

    def _write(self, data: bytes) -> None:
        """Write the same bytes to stdout as to a file; text if ``call_command`` was given a text stream."""
        binary = getattr(self.stdout, "buffer", None)
        if binary is None:
            self.stdout.write(data.decode(), str, "")
        else:
            binary.write(data)


def _summary(report: exporting.Report) -> str:
    return f"{counted(report.sessions, 'conversation')} with {counted(report.messages, 'message')} exported"
