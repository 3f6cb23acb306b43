"""What a host with users in ``default`` and conversations in ``chats`` does: each function without parameters."""

import io
import json
from typing import Any

from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import OperationalError, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, conversation
from chat_memory.models import Session, Workspace, WorkspaceMember
from chat_memory.sessions import find_sessions
from tests.acceptance.admin_world import page, signed_in
from tests.acceptance.api_support import caller
from tests.rollback import undone
from tests.split_host.models import Guest


def new_user(name: str, **flags: Any) -> User:
    return User.objects.create_user(name, password="x", **flags)


def owned_session(user: User, key: str) -> Session:
    """A session of this user, who is also a member of its workspace."""
    conversation(key, workspace="w", user=user).append(Message.user("hi"), Message.assistant("hello"))
    WorkspaceMember.objects.get_or_create(workspace=Workspace.objects.get(slug="w"), user=user)
    return Session.objects.get(key=key)


def check_forgotten(session: Session, user_id: int) -> None:
    """The user is gone, and so is the membership; the session stays, with the user's key."""
    assert not User.objects.filter(pk=user_id).exists()
    listed = session.changed_at
    session.refresh_from_db()
    assert session.changed_at > listed
    assert (session.user_id, session.user_key) == (None, str(user_id))
    assert session.user is None
    assert not WorkspaceMember.objects.filter(user_id=user_id).exists()
    assert [message.content for message in session.history().messages()] == ["hi", "hello"]


def tables_are_where_the_router_says() -> None:
    tables = {alias: connections[alias].introspection.table_names() for alias in ("default", "chats")}
    assert "auth_user" in tables["default"]
    assert [name for name in tables["default"] if name.startswith("chat_memory_")] == []
    assert {"chat_memory_session", "chat_memory_workspacemember"} <= set(tables["chats"])


def the_checks_find_nothing() -> None:
    out = io.StringIO()
    call_command("check", databases=["default", "chats"], fail_level="WARNING", stdout=out, stderr=out)


def a_user_appends_and_is_found_again() -> None:
    ada = new_user("appends")
    chat = conversation("m1", workspace="w", user=ada)
    chat.append(Message.user("hi"), Message.assistant("hello"))
    assert [message.content for message in chat.tail(20)] == ["hi", "hello"]
    assert [found.key for found in find_sessions("w", user=ada).sessions] == ["m1"]
    session = Session.objects.get(key="m1")
    assert session.user == ada
    assert [row.user for row in Session.objects.filter(key="m1").prefetch_related("user")] == [ada]
    assert list(ada.chat_memory_sessions.all()) == [session]


def members_are_made_in_every_way() -> None:
    workspace, _made = Workspace.objects.get_or_create(slug="ways")
    users = [new_user(f"way-{number}") for number in range(5)]
    WorkspaceMember.objects.create(workspace=workspace, user=users[0])
    WorkspaceMember(user=users[1], workspace=workspace).save()
    users[2].chat_memory_memberships.create(workspace=workspace)
    workspace.members.create(user=users[3])
    workspace.members.add(WorkspaceMember(user_id=users[4].pk), bulk=False)
    assert [member.user for member in workspace.members.all()] == users
    for member in workspace.members.all():
        member.full_clean()
        assert str(member).startswith("way-")
    assert [row.user for row in workspace.members.prefetch_related("user")] == users


def a_member_uses_the_api() -> None:
    ada = caller("member", "api")
    browser = Client()
    browser.force_login(ada.user)
    made = browser.post("/api/workspaces/api/sessions/", {"key": "k"}, content_type="application/json")
    assert made.status_code == 201, made.content
    messages = f"/api/workspaces/api/sessions/{made.json()['id']}/messages/"
    said = browser.post(messages, {"role": "user", "content": "hi"}, content_type="application/json")
    assert said.status_code == 201, said.content
    assert [each["content"] for each in browser.get(messages).json()["results"]] == ["hi"]
    assert [each["key"] for each in browser.get("/api/workspaces/api/sessions/").json()["results"]] == ["k"]
    stranger = caller(None, "api")
    assert stranger.get("/api/workspaces/api/sessions/").status_code == 404


def the_admin_shows_sessions_with_their_users() -> None:
    owner, operator = new_user("owner"), signed_in(new_user("root", is_superuser=True, is_staff=True))
    session = owned_session(owner, "shown")
    listed = operator.get(page("session_changelist"))
    assert listed.status_code == 200
    assert ">owner<" in listed.content.decode()
    for name in ("transcript", "change", "delete", "history"):
        assert operator.get(page(f"session_{name}", session)).status_code == 200, name
    members = operator.get(f"{page('workspacemember_changelist')}?o=1")
    assert ">owner<" in members.content.decode()
    assert operator.get(page("workspace_change", session.workspace)).status_code == 200


def staff_sees_what_its_membership_allows() -> None:
    operator = new_user("support", is_staff=True)
    operator.user_permissions.set(Permission.objects.filter(content_type__app_label="chat_memory"))
    session = owned_session(new_user("customer"), "supported")
    browser = signed_in(operator)
    assert browser.get(page("session_transcript", session)).status_code == 404
    WorkspaceMember.objects.create(workspace=session.workspace, user=operator, role="reader")
    assert browser.get(page("session_transcript", session)).status_code == 200


def the_admin_adds_and_changes_a_member() -> None:
    joining, operator = new_user("joining"), signed_in(new_user("adds", is_superuser=True, is_staff=True))
    workspace, _made = Workspace.objects.get_or_create(slug="joined")
    form = {"workspace": workspace.pk, "user": joining.pk, "role": "reader"}
    assert operator.post(page("workspacemember_add"), form).status_code == 302
    member = WorkspaceMember.objects.get(user_id=joining.pk)
    assert operator.get(page("workspacemember_change", member)).status_code == 200
    assert operator.post(page("workspacemember_change", member), form | {"role": "writer"}).status_code == 302
    assert operator.post(page("workspacemember_add"), form | {"user": 999_999}).status_code == 200
    assert WorkspaceMember.objects.get(user_id=joining.pk).role == "writer"


def a_user_is_deleted() -> None:
    ada = new_user("gone")
    session, pk = owned_session(ada, "gone"), ada.pk
    ada.delete()
    check_forgotten(session, pk)


def users_are_deleted_by_a_query() -> None:
    users = [new_user(f"many-{number}") for number in range(3)]
    sessions = [owned_session(user, user.username) for user in users]
    User.objects.filter(username__startswith="many-").delete()
    for session, user in zip(sessions, users, strict=True):
        check_forgotten(session, user.pk)


def a_user_is_deleted_as_a_proxy() -> None:
    ada = new_user("guest")
    session = owned_session(ada, "guest")
    Guest.objects.get(pk=ada.pk).delete()
    check_forgotten(session, ada.pk)


def the_admin_deletes_users() -> None:
    operator = signed_in(new_user("deletes", is_superuser=True, is_staff=True))
    one, two = new_user("one"), new_user("two")
    first, second = owned_session(one, "one"), owned_session(two, "two")
    assert operator.get(f"/admin/auth/user/{one.pk}/delete/").status_code == 200
    assert operator.post(f"/admin/auth/user/{one.pk}/delete/", {"post": "yes"}).status_code == 302
    check_forgotten(first, one.pk)
    chosen = {"action": "delete_selected", "_selected_action": [str(two.pk)]}
    assert operator.post("/admin/auth/user/", chosen).status_code == 200
    assert operator.post("/admin/auth/user/", {**chosen, "post": "yes"}).status_code == 302
    check_forgotten(second, two.pk)


def a_deletion_that_is_undone_changes_nothing() -> None:
    ada = new_user("stays")
    session = owned_session(ada, "stays")
    with undone():
        User.objects.get(pk=ada.pk).delete()
    session.refresh_from_db()
    assert session.user == ada
    assert WorkspaceMember.objects.filter(user=ada).count() == 1


def a_deletion_in_a_transaction_is_heard_after_its_commit() -> None:
    ada = new_user("commits")
    session, pk = owned_session(ada, "commits"), ada.pk
    with transaction.atomic():
        ada.delete()
        assert Session.objects.get(key="commits").user_id == pk
    check_forgotten(session, pk)


def a_deletion_asks_the_users_database_for_none_of_our_tables() -> None:
    ada = new_user("quiet")
    owned_session(ada, "quiet")
    with CaptureQueriesContext(connections["default"]) as asked:
        ada.delete()
    assert asked.captured_queries
    assert [each["sql"] for each in asked.captured_queries if "chat_memory" in each["sql"]] == []


def a_user_is_deleted_while_the_other_database_is_away() -> None:
    """An error there is logged, and the user is gone; pages name the owner by key."""
    ada, operator = new_user("away"), signed_in(new_user("looks", is_superuser=True, is_staff=True))
    session = owned_session(ada, "away")

    def refuse(*_args: Any) -> None:
        message = "the server is away"
        raise OperationalError(message)

    with connections["chats"].execute_wrapper(refuse):
        ada.delete()
    assert not User.objects.filter(username="away").exists()
    assert operator.get(page("session_transcript", session)).status_code == 200
    assert operator.get(page("session_changelist")).status_code == 200
    assert operator.get(page("workspacemember_changelist")).status_code == 200
    member = WorkspaceMember.objects.get(user_id=int(session.user_key))
    assert str(member).startswith(session.user_key)


def the_commands_work() -> None:
    owned_session(new_user("commands"), "commands")
    out = io.StringIO()
    call_command("chat_memory_export", "-", workspace="w", session="commands", stdout=out)
    assert json.loads(out.getvalue())["key"] == "commands"
    for name in ("check", "stats"):
        call_command(f"chat_memory_{name}", stdout=out)
    call_command("chat_memory_cleanup", days=1, dry_run=True, stdout=out)


def a_user_of_the_other_database_is_another_person() -> None:
    """A router need not keep the users' table out of the database of conversations."""
    if User._meta.db_table not in connections["chats"].introspection.table_names():
        return
    ada = new_user("ada-herself")
    session = owned_session(ada, "two persons")
    other = User.objects.using("chats").create(pk=ada.pk, username="somebody-else")
    assert Session.objects.get(key="two persons").user.username == "ada-herself"
    other.delete(using="chats")
    session.refresh_from_db()
    assert session.user == ada
    assert ada.chat_memory_memberships.count() == 1
