"""Where the host's router sends reads to a replica, the admin reads rows and rights from where they are written."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import reverse

from chat_memory.models import Session, Workspace, WorkspaceMember
from tests.acceptance.admin_world import first_message, member, page, signed_in, stored_session, user

pytestmark = pytest.mark.django_db

asked: list[str] = []
"""The models of ours that a read was to come from the replica for."""


class ReplicaRouter:
    """Notes whoever would read a model of ours from elsewhere than where it is written."""

    def db_for_read(self, model: type, **hints: Any) -> str:
        if model._meta.app_label == "chat_memory":  # type: ignore[attr-defined]  # a model
            asked.append(model.__name__)
        return "default"


@pytest.fixture
def edited_session() -> Session:
    session = stored_session("read", size=3, user="customer-1")
    session.history().fork("draft")
    session.history().edit(1, "edited")
    return session


@pytest.fixture
def admin(edited_session: Session) -> User:
    return member("acme", "admin")


@pytest.fixture
def replica(admin: User, edited_session: Session) -> Iterator[None]:
    """Reads of ours are noted from here on."""
    with override_settings(DATABASE_ROUTERS=[ReplicaRouter()]):
        asked.clear()
        yield
        asked.clear()


@pytest.fixture
def operator(admin: User) -> Client:
    return signed_in(admin)


def addresses(edited_session: Session) -> list[str]:
    """Every page that shows rows of ours, lists with each filter."""
    workspace = edited_session.workspace
    models = ("workspace", "workspacemember", "session", "message")
    return [
        *(page(f"{model}_changelist") for model in models),
        *(f"{page(f'{model}_changelist')}?workspace=acme" for model in models[1:]),
        *(
            f"{page('session_changelist')}?{query}"
            for query in ("status=active", "q=read", "active_at__gte=2020-01-01+00%3A00%3A00%2B00%3A00")
        ),
        f"{page('message_changelist')}?q=edited",
        *(page(f"session_{name}", edited_session) for name in ("change", "delete", "history", "transcript", "main")),
        *(page(f"workspace_{name}", workspace) for name in ("change", "delete", "history")),
        *(page(f"workspacemember_{name}", workspace.members.get()) for name in ("change", "delete")),
        page("workspace_add"),
        page("workspacemember_add"),
        page("message_change", first_message(edited_session)),
    ]


def test_pages_ask_no_replica(operator: Client, edited_session: Session, request: pytest.FixtureRequest) -> None:
    wanted = addresses(edited_session)
    request.getfixturevalue("replica")
    for address in wanted:
        assert operator.get(address).status_code == 200, address
        assert asked == [], address


def test_suggestions_ask_no_replica(operator: Client, replica: None) -> None:
    names = {"app_label": "chat_memory", "model_name": "workspacemember", "field_name": "workspace", "term": "ac"}
    assert [each["text"] for each in operator.get(reverse("admin:autocomplete"), names).json()["results"]] == ["acme"]
    assert asked == []


def test_changes_ask_no_replica(operator: Client, edited_session: Session, replica: None) -> None:
    shown = {"title": "New", "tags": "", "metadata": "{}"}
    shown |= dict.fromkeys(("archived_at_0", "archived_at_1", "expires_at_0", "expires_at_1"), "")
    assert operator.post(page("session_change", edited_session), shown).status_code == 302
    form = {"name": "Acme", "metadata": "{}", "members-TOTAL_FORMS": "0", "members-INITIAL_FORMS": "0"}
    assert operator.post(page("workspace_change", edited_session.workspace), form).status_code == 302
    assert operator.post(page("workspace_add"), form | {"slug": "made"}).status_code == 302
    assert operator.post(page("workspace_add"), form | {"slug": "acme"}).status_code == 200
    assert operator.post(page("session_delete", edited_session), {"post": "yes"}).status_code == 302
    assert asked == []


def test_actions_ask_no_replica(operator: Client, edited_session: Session, replica: None) -> None:
    other = Workspace.objects.using("default").create(slug="other")
    WorkspaceMember.objects.using("default").create(workspace=other, user=User.objects.get(), role="admin")
    for name, row in (("session", edited_session), ("workspace", other)):
        action = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
        assert operator.post(page(f"{name}_changelist"), action).status_code == 302
    assert asked == []
    assert not Session.objects.using("default").exists()
    assert not Workspace.objects.using("default").filter(slug="other").exists()


def test_member_is_added_by_what_is_written(operator: Client, edited_session: Session, replica: None) -> None:
    """Django's own check of a foreign key asks the replica once more; it decides no rights."""
    joining = user("joining")
    form = {"workspace": edited_session.workspace_id, "user": joining.pk, "role": "reader"}
    assert operator.post(page("workspacemember_add"), form).status_code == 302
    assert set(asked) <= {"Workspace"}
