"""What a member of staff sees and may do, role by role: on lists, pages, searches, widgets and deletion."""

import pytest
from django.urls import reverse

from chat_memory.models import Session, Workspace, WorkspaceMember
from tests.acceptance.admin_world import first_message, keys_listed, member, page, signed_in, staff, stored_session

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]

ROLES = ("member", "reader", "writer", "admin")
WRITERS, ADMINS = {"writer", "admin"}, {"admin"}


@pytest.fixture(autouse=True)
def _conversations() -> None:
    """One workspace with the own and a foreign conversation of each role, and one of strangers."""
    Workspace.objects.create(slug="acme")
    for role in ROLES:
        stored_session(f"own-{role}", user=member("acme", role))
    stored_session("anybodys", user="somebody else")
    stored_session("secret", "globex")


def client_as(role: str):
    return signed_in(WorkspaceMember.objects.get(workspace__slug="acme", role=role).user)


def session_of(key: str) -> Session:
    return Session.objects.get(key=key)


@pytest.mark.parametrize("role", ROLES)
def test_lists_show_what_the_role_reads(role: str) -> None:
    everything = {f"own-{other}" for other in ROLES} | {"anybodys"}
    client = client_as(role)
    seen = {f"own-{role}"} if role == "member" else everything
    assert keys_listed(client) == seen
    assert keys_listed(client, "?q=secret") == set()
    assert keys_listed(client, "?workspace=globex") == set()
    messages = client.get(page("message_changelist")).context["cl"].result_list
    assert {message.session.key for message in messages} == seen
    assert client.get(page("message_changelist") + "?q=secret").context["cl"].result_count == 0
    workspaces = client.get(page("workspace_changelist")).context["cl"].result_list
    assert [workspace.slug for workspace in workspaces] == ["acme"]
    members = client.get(page("workspacemember_changelist")).context["cl"].result_list
    assert {found.workspace.slug for found in members} == {"acme"}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", ["session_change", "session_delete", "session_history", "session_transcript"])
def test_a_session_out_of_sight_is_not_there(role: str, name: str) -> None:
    response = client_as(role).get(page(name, session_of("secret")))
    assert response.status_code in {302, 403, 404}
    assert "secret says" not in response.text
    if role == "member":
        assert client_as(role).get(page(name, session_of("anybodys"))).status_code in {302, 403, 404}


@pytest.mark.parametrize("role", ROLES)
def test_a_message_and_a_workspace_out_of_sight_are_not_there(role: str) -> None:
    client = client_as(role)
    assert client.get(page("message_change", first_message(session_of("secret")))).status_code == 302
    globex = Workspace.objects.get(slug="globex")
    for name in ("workspace_change", "workspace_delete", "workspace_history"):
        assert client.get(page(name, globex)).status_code in {302, 403}


@pytest.mark.parametrize("role", ROLES)
def test_only_roles_that_write_may_edit(role: str) -> None:
    for key, allowed in ((f"own-{role}", role != "reader"), ("anybodys", role in WRITERS), ("secret", False)):
        row = session_of(key)
        client_as(role).post(page("session_change", row), {"title": "New", "tags": "", "metadata": "{}"})
        row.refresh_from_db()
        assert (row.title == "New") is allowed, key


@pytest.mark.parametrize("role", ROLES)
def test_an_admin_deletes_all_and_who_writes_the_own_ones(role: str) -> None:
    for key, allowed in ((f"own-{role}", role != "reader"), ("anybodys", role in ADMINS), ("secret", False)):
        client_as(role).post(page("session_delete", session_of(key)), {"post": "yes"})
        assert Session.objects.filter(key=key).exists() is not allowed, key


@pytest.mark.parametrize("role", ROLES)
def test_bulk_deletion_keeps_to_the_same_rule(role: str) -> None:
    before = set(Session.objects.values_list("key", flat=True))
    chosen = [str(pk) for pk in Session.objects.values_list("pk", flat=True)]
    form = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    client_as(role).post(page("session_changelist"), form)
    gone = before - set(Session.objects.values_list("key", flat=True))
    assert gone == {"member": {"own-member"}, "admin": before - {"secret"}}.get(role, set())


@pytest.mark.parametrize("role", ROLES)
def test_only_the_role_admin_changes_members(role: str) -> None:
    found = WorkspaceMember.objects.get(workspace__slug="acme", role="reader")
    form = {"workspace": found.workspace_id, "user": found.user_id, "role": "writer"}
    client_as(role).post(page("workspacemember_change", found), form)
    found.refresh_from_db()
    assert found.role == ("writer" if role in ADMINS else "reader")


def test_nobody_joins_a_workspace_that_is_not_theirs() -> None:
    client = client_as("admin")
    me = WorkspaceMember.objects.get(workspace__slug="acme", role="admin").user
    globex = Workspace.objects.get(slug="globex")
    response = client.post(page("workspacemember_add"), {"workspace": globex.pk, "user": me.pk, "role": "admin"})
    assert response.status_code == 200
    assert "workspace" in response.context["adminform"].form.errors
    assert not globex.members.exists()


@pytest.mark.parametrize("role", ROLES)
def test_autocomplete_offers_what_the_role_sees(role: str) -> None:
    query = {"app_label": "chat_memory", "model_name": "workspacemember", "field_name": "workspace", "term": ""}
    answer = client_as(role).get(reverse("admin:autocomplete"), query).json()
    assert [result["text"] for result in answer["results"]] == ["acme"]


def test_memberships_of_several_workspaces_add_up() -> None:
    somebody = WorkspaceMember.objects.get(workspace__slug="acme", role="member").user
    WorkspaceMember.objects.create(workspace=Workspace.objects.get(slug="globex"), user=somebody, role="reader")
    assert keys_listed(signed_in(somebody)) == {"own-member", "secret"}
    assert keys_listed(signed_in(somebody), "?workspace=acme") == {"own-member"}


def test_own_sessions_are_out_of_sight_without_a_membership() -> None:
    somebody = staff("left")
    stored_session("old-own", user=somebody)
    assert keys_listed(signed_in(somebody)) == set()


def test_whoever_makes_a_workspace_administers_it() -> None:
    somebody = staff("maker")
    form = {"slug": "fresh", "name": "", "metadata": "", "members-TOTAL_FORMS": 0, "members-INITIAL_FORMS": 0}
    assert signed_in(somebody).post(page("workspace_add"), form).status_code == 302
    assert Workspace.objects.get(slug="fresh").members.get().role == "admin"
    assert signed_in(somebody).get(page("workspace_change", Workspace.objects.get(slug="fresh"))).status_code == 200
