"""Owns the command `demo`, which fills and serves, or checks, the example; its parts are in example_project.demo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from example_project import assistant
from example_project.demo import serving
from example_project.demo.people import ACCOUNTS, MARA, PLACES, accounts, make_people
from example_project.demo.probe import ProbeFailed, probe
from example_project.demo.samples import import_samples
from example_project.demo.stopping import interrupted_once

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from django.core.servers.basehttp import ThreadedWSGIServer

DEFAULT_PORT = 8000
HIGHEST_PORT = 65_535


class Command(BaseCommand):
    """Fills the example with sample conversations and serves it; a second run adds nothing."""

    help = "Fills the example with sample conversations and serves its chat page, admin and API on this machine."
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="default: %(default)s; 0: any free port")
        parser.add_argument("--check", action="store_true", help="serve on a free port, check every page, and end")

    def handle(self, *_args: Any, port: int, check: bool, **_options: Any) -> None:
        """Fill, then check or serve.

        Raises:
            CommandError: DEBUG is off, the port is taken, or a page is not as expected.
        """
        if not settings.DEBUG:
            raise CommandError("The demo makes accounts with published passwords, so it needs DJANGO_DEBUG=1.")
        if not 0 <= port <= HIGHEST_PORT:
            raise CommandError(f"--port is a number from 0 to {HIGHEST_PORT}.")
        try:
            with interrupted_once():
                if check:
                    self._check()
                else:
                    self._serve(port)
        except KeyboardInterrupt:
            self.stdout.write("\nStopped; what was said is stored.")

    def _fill(self) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        make_people()
        import_samples()

    def _check(self) -> None:
        self._fill()
        try:
            for found in probe():
                self.stdout.write(f"ok: {found}")
        except ProbeFailed as error:
            raise CommandError(f"The demo does not work: {error}") from error
        self.stdout.write(self.style.SUCCESS("The demo works."))

    def _serve(self, port: int) -> None:
        """Fill and serve; the port is bound first, so that a run that cannot serve changes nothing."""
        try:
            server = serving.listen(port)
        except serving.PortTaken as error:
            raise CommandError(f"{error} Choose another, or any free one by --port 0.") from error
        with server:
            self._fill()
            self._announce(server)
            server.serve_forever()

    def _announce(self, server: ThreadedWSGIServer) -> None:
        origin = serving.origin(server)
        opening = {account.username for account in accounts()}
        self.stdout.write(self.style.SUCCESS("\nThe example is running.\n"))
        self.stdout.write(f"  Chat    {origin}/   (assistant: {assistant.name()})")
        self.stdout.write(f"  Admin   {origin}/admin/")
        self.stdout.write(f"  API     {origin}/api/workspaces/{PLACES[0].slug}/sessions/")
        self.stdout.write(f"          in a browser that is logged in, or by: curl -u {MARA.username} ADDRESS")
        self.stdout.write("\n  Log in as")
        for account in ACCOUNTS:
            password = account.password if account.username in opening else "(the password you gave it)"
            self.stdout.write(f"    {account.username:<6} {password:<12} {account.title}")
        self.stdout.write("\nStop with Ctrl-C.")
        self.stdout.flush()
