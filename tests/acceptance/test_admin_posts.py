"""Staff sends the admin what no form of it offers: rows, fields and actions beyond the role; every row is compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import connection
from django.db.models import Model

from chat_memory.models import Session, Workspace
from tests.acceptance.admin_strangers import OURS, ROLES, Row, Rows, Strangers, dump_of_rows, strangers
from tests.acceptance.admin_world import signed_in
from tests.admin_pages import admins_of_the_package, list_page, pages_of_a_list, pages_of_a_row
from tests.rollback import undone

pytestmark = [pytest.mark.once, pytest.mark.django_db]

EDITABLE = {
    "session": {"title", "tags", "metadata", "pinned", "archived_at", "expires_at"},
    "workspace": {"name", "metadata"},
    "workspacemember": {"user_id", "role", "may_send_system", "may_send_tool"},
}
KEPT_BESIDE = {"version", "vtoken", "prev_vtoken", "updated_at", "changed_at", "title_made"}
"""What moves with a change of a session."""


@pytest.fixture(name="world", params=ROLES)
def _world(request: pytest.FixtureRequest) -> Strangers:
    return strangers(request.param)


class Ledger:
    """What there was before, and whose: judges each difference by the role."""

    def __init__(self, world: Strangers) -> None:
        self.world, self.before, self.changes = world, dump_of_rows(), 0
        self.ours = Workspace.objects.get(slug=OURS).pk
        self.own = set(Session.objects.filter(user=world.me, workspace=self.ours).values_list("key", flat=True))
        self._written = _rows_written()

    def trespasses(self) -> list[str]:
        """The differences that the role does not allow; asked after every request."""
        before, self._written = self._written, _rows_written()
        if self._written is not None and self._written == before:
            return []
        after = dump_of_rows()
        self.changes += after != self.before
        keys = self.before.keys() | after.keys()
        return [
            f"{label} {pk}: {name}"
            for label, pk in sorted(keys, key=str)
            for name in _differences(self.before.get((label, pk)), after.get((label, pk)))
            if not self._may(label, name, self.before.get((label, pk)) or after[label, pk], self.before)
        ]

    def _may(self, label: str, name: str, row: Row, before: Rows) -> bool:
        workspace = row["id"] if label == "workspace" else row.get("workspace_id")
        if ("workspace", workspace) not in before:
            return label in {"workspace", "workspacemember"}  # whoever may add workspaces makes one, with its members
        if workspace != self.ours:
            return False
        if label in {"workspace", "workspacemember"}:
            return self.world.role == "admin" and (name in EDITABLE[label] or name in {"added", "gone"})
        session = row if label == "session" else before["session", row["session_id"]]
        if label == "tombstone":  # it says that a session is gone, whose row is judged by itself
            return name == "added"
        is_own = session["key"] in self.own
        if name == "gone":
            return self.world.role == "admin" or (is_own and self.world.role != "reader")
        writes = self.world.role in {"writer", "admin"} or (is_own and self.world.role == "member")
        return label == "session" and writes and name in EDITABLE["session"] | KEPT_BESIDE


def _rows_written() -> int | None:
    """How many rows this connection has ever changed, which SQLite counts; None on another database."""
    return int(connection.connection.total_changes) if connection.vendor == "sqlite" else None


def _differences(before: Row | None, after: Row | None) -> list[str]:
    if before is None or after is None:
        return ["added" if before is None else "gone"]
    return [name for name, value in before.items() if value != after[name]]


def columns_as_form(model: type[Model], row: Row) -> dict[str, str]:
    """All columns of a row as a form would send them, under each name that Django's widgets have for them."""
    sent: dict[str, str] = {}
    for field in model._meta.concrete_fields:
        value = row[field.attname]
        if isinstance(value, datetime):
            text = value.replace(tzinfo=None)
            sent |= {f"{field.name}_0": str(text.date()), f"{field.name}_1": str(text.time().replace(microsecond=0))}
        elif isinstance(value, dict | list):
            sent[field.name] = json.dumps(value)
        elif value is not False:
            sent[field.name] = "on" if value is True else str("" if value is None else value)
    return sent


def inline(rows: list[Row], **other: Any) -> dict[str, str]:
    """The table of members with these memberships, each with other values."""
    sent = {"members-TOTAL_FORMS": str(len(rows)), "members-INITIAL_FORMS": str(len(rows))}
    for number, row in enumerate(rows):
        values = {"id": row["id"], "workspace": row["workspace_id"], "user": row["user_id"], "role": "admin"} | other
        sent |= {f"members-{number}-{name}": str(value) for name, value in values.items()}
    return sent


def forms(model: type[Model], row: Row, other: Row, members: list[Row]) -> Iterator[dict[str, str]]:
    """What may be sent to a row's pages: each column of another row, all of them, and tables of others' members."""
    own = columns_as_form(model, row)
    tables = [inline([]), *(inline([each]) for each in members), *(inline([each], DELETE="on") for each in members)]
    tables += [inline([each], workspace=other["id"]) for each in members[:1]]
    yield {"post": "yes"}
    yield own | tables[0] | {"_saveasnew": "1", "_popup": "1", "_continue": "1"}
    yield from (own | table for table in tables)
    theirs = columns_as_form(model, other)
    yield theirs | tables[0]
    yield from (own | {name: value} | tables[0] for name, value in theirs.items() if own.get(name) != value)


def test_b10_every_row_with_every_field(world: Strangers) -> None:
    """To each page of each row: a deletion, the fields of another row one by one, members of another workspace."""
    client, ledger = signed_in(world.me), Ledger(world)
    members = [row for (label, _pk), row in ledger.before.items() if label == "workspacemember"]
    for model, page in admins_of_the_package().items():
        label = str(model._meta.model_name)
        rows = {pk: row for (name, pk), row in ledger.before.items() if name == label}
        ours = [row for row in rows.values() if row.get("workspace_id", row["id"]) == ledger.ours]
        ours.sort(key=lambda row: row["id"] not in world.seen[label])
        theirs = [row for row in rows.values() if row not in ours]
        for row in (*ours[:1], *ours[1:][-1:], *theirs[:1]):
            *others, form, _old = pages_of_a_row(page, row[model._meta.pk.attname])
            for sent in forms(model, row, (theirs if row in ours else ours)[0], members if page.inlines else []):
                for address in (form, *(others if sent.keys() == {"post"} else ())):
                    with undone():
                        client.post(address, sent)
                        assert ledger.trespasses() == [], (address, sent)
    assert bool(ledger.changes) is (world.role != "reader")


def actions_of(page: Any) -> list[str]:
    """The names of a page's own actions, which may be functions."""
    return [getattr(action, "__name__", action) for action in page.actions or ()]


def test_b10_every_action_on_every_row(world: Strangers) -> None:
    """Actions on rows that the list does not show, also "all of them", and rows of a list that would be editable."""
    client, ledger = signed_in(world.me), Ledger(world)
    for model, page in admins_of_the_package().items():
        label = str(model._meta.model_name)
        chosen = [str(pk) for pk in (*world.hidden[label], *world.seen[label])]
        for action in {*(name for name, _action in page.admin_site.actions), *actions_of(page)}:
            for across in ("0", "1"):
                sent = {"action": action, "select_across": across, "index": "0", "post": "yes"}
                hidden = {f"form-0-{name}": "x" for name in ("id", "key", "role", "slug")}
                for selected in (chosen, world.hidden[label]):
                    with undone():
                        client.post(list_page(model), {**sent, **hidden, ACTION_CHECKBOX_NAME: selected})
                        assert ledger.trespasses() == [], (label, sent)


def test_b10_nothing_is_added_elsewhere(world: Strangers) -> None:
    """Every page that names no row is sent the columns of rows of the other workspace, and of the own one."""
    client, ledger = signed_in(world.me), Ledger(world)
    for model, page in admins_of_the_package().items():
        label = str(model._meta.model_name)
        rows = [row for (name, _pk), row in ledger.before.items() if name == label]
        for address in pages_of_a_list(page):
            for row in (*rows[:2], *rows[-2:]):
                sent = columns_as_form(model, row) | {"key": "new", "slug": "new"}
                for user in (world.me.pk, row.get("user_id", "")):
                    with undone():
                        client.post(address, sent | {"user": str(user)} | inline([]))
                        assert ledger.trespasses() == [], (address, sent)
