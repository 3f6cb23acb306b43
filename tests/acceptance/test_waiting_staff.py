"""Staff and operators while others hold what they write to: plain words, never a traceback, and the rest is done."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from chat_memory import Message, conversation
from chat_memory.models import Session, Workspace, WorkspaceMember
from tests.acceptance.admin_world import page, stored_session, user
from tests.acceptance.command_line import GREETING, run, write
from tests.locks import locked_by_another

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

FORM = {"title": "new", "tags": "", "metadata": "{}", "archived_at_0": "", "archived_at_1": ""}
FORM |= {"expires_at_0": "", "expires_at_1": ""}
SESSION = "SELECT 1 FROM chat_memory_session WHERE key = 'b' FOR UPDATE"
MESSAGES = """SELECT 1 FROM chat_memory_message m WHERE EXISTS (
  SELECT 1 FROM chat_memory_session s WHERE s.id = m.session_id AND s.key = 'b') FOR UPDATE"""
MEMBER = "SELECT 1 FROM chat_memory_workspacemember FOR UPDATE"


@pytest.fixture(autouse=True)
def _impatient(settings: Any) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": 0.05}


def check_page(answer: Any) -> None:
    """The page of plain words."""
    assert (answer.status_code, answer["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert "Somebody else is changing this at the moment" in answer.content.decode()
    assert int(answer["Retry-After"]) >= 1


def test_c9_a_save_and_a_deletion_in_the_admin(admin_client) -> None:
    session, other = stored_session("k"), stored_session("other")
    action = {"action": "delete_selected", "_selected_action": [session.pk, other.pk], "post": "yes"}
    with locked_by_another():
        check_page(admin_client.post(page("session_change", session), FORM))
        check_page(admin_client.post(page("session_delete", session), {"post": "yes"}))
        check_page(admin_client.post(page("session_changelist"), action))
        check_page(admin_client.post(page("workspace_delete", session.workspace), {"post": "yes"}))
        assert admin_client.get(page("session_change", session)).status_code == 200
    assert list(Session.objects.values_list("key", "title")) == [("k", "k says 1")]
    assert admin_client.post(page("session_change", session), FORM).status_code == 302
    assert Session.objects.get().title == "new"


def test_c9_the_admins_own_rows_wait_no_longer_either(admin_client) -> None:
    """A workspace and its members are written by Django itself."""
    workspace = stored_session("k").workspace
    member = WorkspaceMember.objects.create(workspace=workspace, user=user("ann"), role="reader")
    form = {"workspace": workspace.pk, "user": member.user_id, "role": "admin"}
    action = {"action": "delete_selected", "_selected_action": [member.pk], "post": "yes"}
    with locked_by_another(MEMBER):
        check_page(admin_client.post(page("workspacemember_change", member), form))
        check_page(admin_client.post(page("workspacemember_delete", member), {"post": "yes"}))
        check_page(admin_client.post(page("workspacemember_changelist"), action))
    assert WorkspaceMember.objects.get().role == "reader"
    assert admin_client.post(page("workspacemember_change", member), form).status_code == 302
    assert WorkspaceMember.objects.get().role == "admin"


def idle(key: str) -> None:
    conversation(key, "acme").append(Message.user("x"))
    long_ago = datetime.now(UTC) - timedelta(days=100)
    Session.objects.filter(key=key).update(active_at=long_ago, listed_at=long_ago)


@pytest.mark.parametrize("sql", [SESSION, MESSAGES])
def test_c9_a_cleanup_goes_on_and_says_what_it_left(sql: str) -> None:
    for key in "abc":
        idle(key)
    with locked_by_another(sql):
        report = json.loads(run("cleanup", "--days", 30, "--format", "json"))
        assert (report["sessions"], report["busy"], report["finished"]) == (2, 1, True)
        assert "1 locked conversation left to the next run" in run("cleanup", "--days", 30)
    assert list(Session.objects.values_list("key", flat=True)) == ["b"]
    assert json.loads(run("cleanup", "--days", 30, "--format", "json"))["sessions"] == 1


def test_c9_an_import_leaves_out_what_others_hold(tmp_path) -> None:
    conversation("k", "acme").append(Message.user("x"))
    path = write(tmp_path / "lines", *({"id": key, "messages": GREETING} for key in ("a", "k", "z")))
    with locked_by_another(), pytest.raises(CommandError, match="left out 1 damaged of 3 lines"):
        call_command("chat_memory_import", path, "--workspace", "acme")
    assert sorted(Session.objects.values_list("key", flat=True)) == ["a", "k", "z"]
    assert conversation("k", "acme").count() == 1
    assert "2 added" in run("import", path, "--workspace", "acme").replace("messages ", "")


def test_c10_commands_refuse_in_one_line_while_nothing_can_be_written(tmp_path) -> None:
    idle("k")
    path = write(tmp_path / "lines", {"id": "a", "messages": GREETING})
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            for arguments in (["cleanup", "--days", "30"], ["import", str(path), "--workspace", "acme"]):
                with pytest.raises(CommandError, match="read-only"):
                    run(*arguments)
        finally:
            cursor.execute("RESET default_transaction_read_only")
    assert Workspace.objects.count() == Session.objects.count() == 1
