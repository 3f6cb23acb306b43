"""Which admin page answers whom, with how many queries, and only inside the door across workspaces."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from chat_memory.models import Session, Workspace, WorkspaceMember
from chat_memory.storage.tenancy import spans_workspaces
from tests.acceptance.admin_world import first_message, member, page, signed_in, staff, stored_session, user

pytestmark = pytest.mark.django_db

READ_PAGES: dict[str, Callable[[Session], Any]] = {
    "workspace_changelist": lambda session: None,
    "workspacemember_changelist": lambda session: None,
    "session_changelist": lambda session: None,
    "message_changelist": lambda session: None,
    "workspace_change": lambda session: session.workspace,
    "workspace_delete": lambda session: session.workspace,
    "workspace_history": lambda session: session.workspace,
    "workspacemember_change": lambda session: session.workspace.members.first(),
    "session_change": lambda session: session,
    "session_delete": lambda session: session,
    "session_history": lambda session: session,
    "session_transcript": lambda session: session,
    "message_change": first_message,
}
ADD_PAGES = {"workspace_add": 200, "workspacemember_add": 200, "session_add": 403, "message_add": 403}


@pytest.fixture
def first_session() -> Session:
    session = stored_session("first", size=5)
    WorkspaceMember.objects.create(workspace=session.workspace, user=user("somebody"))
    return session


def people() -> dict[str, User]:
    return {
        "superuser": user("root", is_staff=True, is_superuser=True),
        "staff": member("acme", "admin"),
        "nobody": user("nobody"),
    }


@pytest.mark.parametrize("name", READ_PAGES)
@pytest.mark.parametrize(("who", "status"), [("superuser", 200), ("staff", 200), ("nobody", 302)])
def test_pages_answer_by_role(name: str, who: str, status: int, first_session: Session) -> None:
    response = signed_in(people()[who]).get(page(name, READ_PAGES[name](first_session)))
    assert response.status_code == status
    assert status == 200 or response.headers["Location"].startswith("/admin/login/")


@pytest.mark.parametrize(("name", "status"), ADD_PAGES.items())
def test_sessions_and_messages_are_not_added_by_hand(name: str, status: int, admin_client) -> None:
    assert admin_client.get(page(name)).status_code == status


@pytest.mark.parametrize("name", READ_PAGES)
def test_staff_without_permissions_sees_nothing(name: str, first_session: Session) -> None:
    somebody = staff("without", actions=())
    WorkspaceMember.objects.create(workspace=first_session.workspace, user=somebody, role="admin")
    assert signed_in(somebody).get(page(name, READ_PAGES[name](first_session))).status_code == 403


def test_the_text_of_messages_takes_the_permission_for_messages(first_session: Session) -> None:
    somebody = staff("sessions-only", models=("session",))
    WorkspaceMember.objects.create(workspace=first_session.workspace, user=somebody, role="admin")
    client = signed_in(somebody)
    assert client.get(page("session_transcript", first_session)).status_code == 403
    for name, row in (("session_changelist", None), ("session_change", first_session)):
        response = client.get(page(name, row))
        assert response.status_code == 200
        assert "/transcript/" not in response.text


@pytest.mark.parametrize("name", READ_PAGES)
def test_pages_hold_no_inline_script_or_style(name: str, first_session: Session, admin_client) -> None:
    """Such a page works under a Content-Security-Policy of ``default-src 'self'``."""
    html = admin_client.get(page(name, READ_PAGES[name](first_session))).text
    scripts = re.findall(r"<script(?![^>]*(?:\bsrc=|type=\"application/json\"))[^>]*>", html)
    assert scripts == []
    assert "<style" not in html
    assert not re.search(r"\s(?:style|on[a-z]+)=", html)


@pytest.mark.parametrize("name", READ_PAGES)
@pytest.mark.parametrize("who", ["superuser", "staff"])
def test_every_query_is_inside_the_named_door(name: str, who: str, first_session: Session) -> None:
    """DESIGN section 4, tenancy: work across workspaces runs inside one named context manager."""
    outside: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if re.search(r"chat_memory_(session|message)\"", sql) and not spans_workspaces():
            outside.append(sql)
        return execute(sql, params, many, context)

    client = signed_in(people()[who])
    address = page(name, READ_PAGES[name](first_session))
    with connection.execute_wrapper(watch):
        assert client.get(address).status_code == 200
    assert outside == []
    assert not spans_workspaces()


@pytest.mark.parametrize(("who", "more"), [("superuser", 0), ("staff", 3)])
@pytest.mark.parametrize(
    ("name", "most"), [("session_changelist", 6), ("message_changelist", 6), ("session_transcript", 11)]
)
def test_queries_do_not_grow_with_the_rows(
    name: str, most: int, who: str, more: int, django_assert_max_num_queries
) -> None:
    """Staff costs three more: the user's permissions, the groups' and the memberships."""
    owners = [user(f"owner-{number}") for number in range(12)]
    sessions = [stored_session(f"talk-{number}", size=12, user=owner) for number, owner in enumerate(owners)]
    client = signed_in(people()[who])
    with django_assert_max_num_queries(most + more):
        client.get(page(name, sessions[0] if name == "session_transcript" else None))


def test_lists_never_count_a_table(admin_client, django_assert_max_num_queries) -> None:
    stored_session("long", size=300)
    for name in ("session_changelist", "message_changelist"):
        with django_assert_max_num_queries(6) as queries:
            assert admin_client.get(page(name) + "?p=2").status_code in {200, 302}
        assert [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()] == []


def test_lists_name_what_a_row_is_about(admin_client) -> None:
    """Few columns, so that none is cut off: title, key and status are one, conversation and workspace another."""
    session = stored_session("support-42", size=2)
    session.history().update(title="Rye <bread>", pinned=True)
    row = admin_client.get(page("session_changelist")).text.split("<tbody>")[1]
    for text in ("Rye &lt;bread&gt;", ">support-42<", ">pinned<", "2 messages", "acme"):
        assert text in row
    session.history().update(title="")
    assert admin_client.get(page("session_changelist")).text.split("<tbody>")[1].count(">support-42<") == 1
    rows = admin_client.get(page("message_changelist")).text.split("<tbody>")[1]
    for text in ("support-42 says 2", "support-42, message 2", ">acme<"):
        assert text in rows
    assert rows.count("<td") == 2 * 3


def test_sessions_are_sorted_by_key(admin_client) -> None:
    for key in ("b", "a", "c"):
        stored_session(key)
    listed = [
        session.key for session in admin_client.get(page("session_changelist") + "?o=1").context["cl"].result_list
    ]
    assert listed == ["a", "b", "c"]


def test_message_is_named_by_its_place_and_its_state_is_explained(admin_client) -> None:
    message = first_message(stored_session("support-42"))
    text = admin_client.get(page("message_change", message)).text
    assert "<h2>support-42, message 1</h2>" in text
    assert "Message 1 (user)" in text
    assert "A turn is a user message and everything after it" in text
    assert "complete for every message that is stored in one call" in text
    for state in ("stopped", "failed", "abandoned", "redacted"):
        assert state in text


def test_a_list_says_that_it_is_cut(admin_client, monkeypatch) -> None:
    monkeypatch.setattr("chat_memory.admin.base.NearPaginator.ceiling", 60)
    stored_session("long", size=61)
    text = admin_client.get(page("message_changelist")).text
    assert "Only the first 60 are listed" in text
    assert "Only the first" not in admin_client.get(page("session_changelist")).text


def test_search_in_messages_looks_at_the_newest_alone(admin_client, monkeypatch) -> None:
    monkeypatch.setattr("chat_memory.admin.pages.messages.SEARCHED", 10)
    stored_session("old", size=3)
    stored_session("new", size=10)
    assert admin_client.get(page("message_changelist") + "?q=new+says+10").context["cl"].result_count == 1
    assert admin_client.get(page("message_changelist") + "?q=old").context["cl"].result_count == 0
    old = Session.objects.get(key="old")
    assert admin_client.get(page("message_changelist") + f"?q=old&session={old.pk}").context["cl"].result_count == 3


@pytest.mark.parametrize(
    "query", ["?workspace=%00", "?workspace=no+such", "?status=x", "?session=1", "?q=%00", "?p=99"]
)
@pytest.mark.parametrize("name", ["session_changelist", "message_changelist"])
def test_a_strange_address_is_no_server_error(name: str, query: str, admin_client) -> None:
    Workspace.objects.create(slug="acme")
    response = admin_client.get(page(name) + query)
    assert response.status_code in {200, 302}
