"""Every way out: how a conversation may go, by a name each, for tests of what must then happen."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.db.models import Model
from django.test import Client

from chat_memory.models import Session, Workspace
from tests.acceptance.admin_world import page, signed_in, user
from tests.acceptance.api_support import caller
from tests.acceptance.command_line import run


def by_the_conversation(session: Session) -> None:
    assert session.history().delete()


def by_age(session: Session) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=40)
    rows = Session.objects.filter(workspace=session.workspace, key=session.key)
    rows.update(active_at=long_ago, listed_at=long_ago, updated_at=long_ago)
    run("cleanup", "--days", "30")


def by_expiry(session: Session) -> None:
    Session.objects.filter(pk=session.pk).update(expires_at=datetime.now(UTC) - timedelta(days=1))
    run("cleanup", "--days", "30")


def by_the_api(session: Session) -> None:
    admin = caller("admin", session.workspace.slug)
    assert admin.delete(admin.session(session)).status_code == 204


def by_the_admin(session: Session) -> None:
    _delete_in_the_admin("session", session)


def by_the_admins_action(session: Session) -> None:
    _act_in_the_admin("session", session)


def by_a_queryset(session: Session) -> None:
    Session.objects.filter(pk=session.pk).delete()


def by_the_row(session: Session) -> None:
    session.delete()


def by_the_workspace(session: Session) -> None:
    session.workspace.delete()


def by_a_queryset_of_workspaces(session: Session) -> None:
    Workspace.objects.filter(pk=session.workspace_id).delete()


def by_the_workspace_in_the_admin(session: Session) -> None:
    _delete_in_the_admin("workspace", session.workspace)


def by_the_admins_action_on_workspaces(session: Session) -> None:
    _act_in_the_admin("workspace", session.workspace)


WAYS: dict[str, Callable[[Session], None]] = {
    way.__name__.removeprefix("by_"): way
    for way in (
        by_the_conversation,
        by_age,
        by_expiry,
        by_the_api,
        by_the_admin,
        by_the_admins_action,
        by_a_queryset,
        by_the_row,
    )
}
"""Each takes this one conversation, with its branches."""
WAYS_OF_A_WORKSPACE: dict[str, Callable[[Session], None]] = {
    way.__name__.removeprefix("by_"): way
    for way in (
        by_the_workspace,
        by_a_queryset_of_workspaces,
        by_the_workspace_in_the_admin,
        by_the_admins_action_on_workspaces,
    )
}
"""Each takes all conversations of its workspace."""


def _delete_in_the_admin(model: str, row: Model) -> None:
    assert _superuser().post(page(f"{model}_delete", row), {"post": "yes"}).status_code == 302


def _act_in_the_admin(model: str, row: Model) -> None:
    form = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    assert _superuser().post(page(f"{model}_changelist"), form).status_code == 302


def _superuser() -> Client:
    return signed_in(user("root", is_staff=True, is_superuser=True))
