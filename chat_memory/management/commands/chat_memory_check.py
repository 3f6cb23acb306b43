"""The command ``chat_memory_check``; the rules are in ``maintenance.integrity``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import ValidationError
from chat_memory.maintenance import integrity
from chat_memory.maintenance.calls import Notice
from chat_memory.management.command import JSON, TEXT, MaintenanceCommand, counted


class Command(MaintenanceCommand):
    """Check stored data, and repair it where asked."""

    help = (
        "Compare sessions with their messages, attachments with their files, the search index and embeddings (if "
        "installed) with the messages, and, with --cache, cached sessions with their rows. The exit status is 1 if "
        "something is wrong and not repaired. Tool calls without a result are listed too, but are not errors. Can run "
        "while other processes write."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The options of the command line."""
        parser.add_argument("--workspace", metavar="SLUG", help="this workspace only")
        parser.add_argument("--cache", action="store_true", help="check cached sessions in Redis too")
        parser.add_argument(
            "--sample",
            type=int,
            metavar="N",
            help=f"with --cache: check the entries of this many sessions, last active first ({integrity.SAMPLE})",
        )
        parser.add_argument(
            "--repair",
            action="store_true",
            help="recount sessions, store abandoned drafts as messages, release turns and branches that wait in vain, "
            "remove unused files and embeddings, mend the search index, delete wrong cached entries; no message is "
            "removed",
        )
        parser.add_argument(
            "--format", dest="report", choices=(TEXT, JSON), default=TEXT, help="the form of the result on stdout"
        )

    def run(self, **options: Any) -> None:
        """Check, and repair where asked.

        Raises:
            CommandError: something is wrong and not repaired.
        """
        sample = options["sample"]
        if sample is not None and not options["cache"]:
            raise ValidationError("goes with --cache", field="sample")
        with self.progress("sessions checked") as progress:

            def show(found: integrity.Violation | Notice) -> None:
                progress.clear()
                self.stdout.write(_line(found) if isinstance(found, integrity.Violation) else _notice(found), str)

            report = integrity.check(
                options["workspace"],
                cache=options["cache"],
                sample=integrity.SAMPLE if sample is None else sample,
                repair=options["repair"],
                on_batch=progress.reach,
                on_violation=show if options["report"] == TEXT else lambda _: None,
                on_notice=show if options["report"] == TEXT else lambda _: None,
            )
        self.tell(report, _summary(report), options, self.stdout)
        left = report.violations - report.repaired
        if left:
            raise CommandError(f"{counted(left, 'violation')} left")


def _line(violation: integrity.Violation) -> str:
    repaired = " (repaired)" if violation.repaired else ""
    return f"{_place(violation)}: {violation.what} {violation.detail}{repaired}"


def _notice(call: Notice) -> str:
    # Ids and names come from a model or a provider: escaped, they cannot break the line.
    named = " ".join(ascii(text) for text in (call.id, call.name) if text)
    return f"{_place(call)}: notice: tool call {named} at position {call.seq} has no result"


def _place(found: integrity.Violation | Notice) -> str:
    branch = "" if found.branch in ("", MAIN_BRANCH) else f"@{found.branch}"
    return f"{found.workspace}/{found.key}{branch}"


def _summary(report: integrity.Report) -> str:
    looked = f"{counted(report.sessions, 'session')} with {counted(report.messages, 'message')}"
    violations = f"{counted(report.violations, 'violation')}, {report.repaired} repaired"
    calls = f"; {counted(report.unanswered, 'tool call')} without a result" if report.unanswered else ""
    return f"{looked} and {report.entries} cached: {violations}{calls}"
