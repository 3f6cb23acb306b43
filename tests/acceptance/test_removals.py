"""What makes messages go under other names than a deletion, at both doors: it needs the right to delete (A1)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from chat_memory import Message, conversation
from chat_memory.admin.pages import sessions as admin_sessions
from chat_memory.api.resources import sessions as api_sessions
from chat_memory.maintenance.retention import preview
from chat_memory.models import Message as MessageRow, Session, Workspace
from tests.acceptance.admin_world import as_staff, form_of, page
from tests.acceptance.api_support import Caller, caller, stored

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, tzinfo=UTC)
FUTURE, SOONER, PAST = "2090-01-01T00:00:00Z", "2089-12-31T23:59:59Z", "2000-01-01T00:00:00Z"
LATEST = datetime(2090, 1, 1, tzinfo=UTC)


def test_a1_expiry_in_the_past_is_a_removal() -> None:
    """As the attacker did it: the nightly job then took the conversation of somebody else."""
    owner, writer = caller("member"), caller("writer")
    session = stored(user=owner.user, messages=1)
    answer = writer.patch(writer.session(session), {"expires_at": PAST})
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        403,
        "permission_denied",
        "expires_at",
    )
    call_command("chat_memory_cleanup", days=3650)
    assert owner.get(owner.session(session)).status_code == 200


SHORTENED: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    # stored, body, the field that is refused
    ({}, {"expires_at": PAST}, "expires_at"),
    ({}, {"expires_at": FUTURE}, "expires_at"),
    ({}, {"title": "t", "archived": True, "expires_at": FUTURE}, "expires_at"),
    ({"expires_at": LATEST}, {"expires_at": SOONER}, "expires_at"),
    ({"expires_at": LATEST}, {"expires_at": "2090-01-01T05:29:59+05:30"}, "expires_at"),
    ({"expires_at": LATEST}, {"expires_at": "2090-01-01T05:30:00+05:30"}, None),
    ({"expires_at": LATEST}, {"expires_at": None}, None),
    ({"expires_at": LATEST}, {"expires_at": "2090-01-01T00:00:01Z"}, None),
    ({"pinned": True}, {"pinned": False}, "pinned"),
    ({"pinned": True}, {"pinned": False, "expires_at": PAST}, "pinned"),
    ({"pinned": True}, {"pinned": True, "tags": ["a"]}, None),
    ({"archived_at": NOW}, {"archived": False}, None),
    ({}, {"archived_at": PAST}, None),
]


@pytest.mark.parametrize(("stored_fields", "body", "field"), SHORTENED)
def test_a1_what_has_a_session_removed_sooner_needs_the_right_to_delete(
    stored_fields: dict[str, Any], body: dict[str, Any], field: str | None
) -> None:
    owner, writer, admin = caller("member"), caller("writer"), caller("admin")
    session = stored(user=owner.user, messages=1)
    conversation("k", "acme").update(**stored_fields)
    before = owner.get(owner.session(session)).json()
    answer = writer.patch(writer.session(session), body)
    assert (answer.status_code, answer.json().get("field")) == ((403, field) if field else (200, None))
    if field:
        assert owner.get(owner.session(session)).json() == before
        assert admin.patch(admin.session(session), body).status_code == 200
        conversation("k", "acme").update(**({"expires_at": None, "pinned": False} | stored_fields))
        assert owner.patch(owner.session(session), body).status_code == 200


@pytest.mark.parametrize("name", ["title", "tags", "metadata", "pinned", "archived_at", "expires_at"])
@pytest.mark.parametrize("value", [None, PAST, FUTURE, True, False, [], {}, "x"])
def test_a1_nothing_that_a_writer_sets_makes_a_kept_session_due(name: str, value: Any) -> None:
    """Whichever field retention may look at one day: what was not due before is not due after."""
    owner, writer = caller("member"), caller("writer")
    session = stored(user=owner.user, messages=1)
    conversation("k", "acme").update(pinned=True)
    Session.objects.update(active_at=NOW - timedelta(days=400), listed_at=NOW - timedelta(days=400))
    assert list(preview(30)) == []
    writer.patch(writer.session(session), {name: value})
    writer.post(writer.messages(session), {"role": "user", "content": "x", "created_at": PAST})
    Session.objects.update(active_at=NOW - timedelta(days=400), listed_at=NOW - timedelta(days=400))
    assert list(preview(30)) == []


def test_a1_created_at_of_a_message_makes_no_session_idle() -> None:
    writer, session = caller("writer"), stored(messages=1)
    said = {"role": "user", "content": "x", "created_at": PAST}
    assert writer.post(writer.messages(session), said).status_code == 201
    assert writer.post(writer.messages(session), [said, said | {"metadata": {"a": 1}}]).status_code == 201
    assert list(preview(30)) == []
    assert Session.objects.get().active_at > datetime.now(UTC) - timedelta(days=1)
    for name in ("created_at", "active_at", "updated_at", "listed_at", "base_seq", "cleared_at", "deleted_at"):
        assert writer.patch(writer.session(session), {name: PAST}).status_code == 422
        assert writer.post(writer.sessions, {"key": "new", name: PAST}).status_code == 422


@pytest.mark.parametrize("name", ["user", "user_key", "user_id", "workspace", "key", "head", "id"])
def test_a1_no_session_is_handed_over(name: str) -> None:
    """Who becomes the owner may delete."""
    owner, writer = caller("member"), caller("writer")
    session = stored(user=owner.user, messages=1)
    assert writer.patch(writer.session(session), {name: str(writer.user.pk)}).status_code == 422
    opened = writer.post(writer.sessions, {"key": "k", "user_key": str(writer.user.pk), "title": "mine"})
    assert (opened.status_code, opened.json()["user_key"], opened.json()["title"]) == (200, str(owner.user.pk), "1")
    raw = form_of(session, title="t") | {name: str(writer.user.pk)}
    as_staff(writer).post(page("session_change", session), raw)
    after = Session.objects.get()
    assert (after.title, after.user_id, after.user_key) == ("t", owner.user.pk, str(owner.user.pk))
    assert (after.pk, after.key, after.workspace_id, after.head_id) == (session.pk, "k", session.workspace_id, None)


def test_a1_opening_a_session_that_is_there_sets_nothing() -> None:
    owner, writer = caller("member"), caller("writer")
    session = stored(user=owner.user, messages=1)
    conversation("k", "acme").update(pinned=True)
    for body in ({"expires_at": PAST}, {"pinned": False}):
        assert writer.post(writer.sessions, {"key": "k"} | body).json()["id"] == str(session.id)
    after = Session.objects.get()
    assert (after.pinned, after.expires_at) == (True, None)


def test_a1_a_session_made_for_another_does_not_expire_at_a_writers_wish() -> None:
    """Else a writer makes it in advance, and what the owner's code says in it goes with the next cleanup."""
    writer, admin = caller("writer"), caller("admin")
    body = {"key": "of customer 7", "user_key": "7", "expires_at": FUTURE}
    refused = writer.post(writer.sessions, body)
    assert (refused.status_code, refused.json()["field"]) == (403, "expires_at")
    assert not Session.objects.exists()
    assert admin.post(admin.sessions, body).status_code == 201
    mine = writer.post(writer.sessions, {"key": "mine", "expires_at": FUTURE})
    assert (mine.status_code, mine.json()["expires_at"]) == (201, FUTURE)


@pytest.mark.parametrize("headers", [{}, {"X-HTTP-Method-Override": "PATCH"}])
@pytest.mark.parametrize("body", [None, {}, {"expires_at": PAST}, {"own": True}])
def test_a1_delete_with_a_body_is_a_delete(headers: dict[str, str], body: Any) -> None:
    writer, session = caller("writer"), stored(user=caller("member").user, messages=1)
    for address in (writer.session(session), f"{writer.messages(session)}1/"):
        answer = writer.client.delete(address, body, format="json", headers=headers)
        assert answer.status_code == 403
        override = writer.client.post(address, body, format="json", headers={"X-HTTP-Method-Override": "DELETE"})
        assert override.status_code == 405
    assert conversation("k", "acme").messages()[0].content == "1"


def test_an_edit_of_anothers_message_keeps_the_former_text() -> None:
    writer, session = caller("writer"), stored(user=caller("member").user, messages=1)
    assert writer.patch(f"{writer.messages(session)}1/", {"content": "other"}).status_code == 200
    assert [former.content for former in conversation("k", "acme").revisions(1)] == ["1"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"metadata": None}, "metadata"),
        ({"metadata": {}}, "metadata"),
        ({"metadata": {"a": 2, "b": 1}}, "metadata"),
        ({"metadata": {"a": 1, "b": 2}}, None),
        ({"reasoning_content": None}, "reasoning_content"),
        ({"content": "new", "reasoning_content": "other"}, "reasoning_content"),
        ({"reasoning_content": "why", "more": 1}, None),
    ],
)
def test_what_an_edit_takes_away_for_good_needs_the_right_to_delete(body: dict[str, Any], field: str | None) -> None:
    owner, writer, admin = caller("member"), caller("writer"), caller("admin")
    session = stored(user=owner.user)
    said = Message.assistant("a", metadata={"a": 1}, extra={"reasoning_content": "why"})
    conversation("k", "acme").append(said)
    answer = writer.patch(f"{writer.messages(session)}1/", body)
    assert (answer.status_code, answer.json().get("field")) == ((403, field) if field else (200, None))
    if field:
        (kept,) = conversation("k", "acme").messages()
        assert (kept.content, kept.metadata, kept.extra) == (said.content, said.metadata, said.extra)
        for whoever in (admin, owner):
            assert whoever.patch(f"{whoever.messages(session)}1/", body).status_code == 200


FORMS: list[tuple[dict[str, Any], dict[str, str], str | None]] = [
    ({}, {"expires_at_0": "2000-01-01", "expires_at_1": "00:00:00"}, "expires_at"),
    ({}, {"expires_at_0": "2090-01-01", "expires_at_1": "00:00:00"}, "expires_at"),
    ({"expires_at": LATEST}, {"expires_at_0": "2089-12-31", "expires_at_1": "12:00:00"}, "expires_at"),
    ({"expires_at": LATEST}, {"expires_at_0": "", "expires_at_1": ""}, None),
    ({"expires_at": LATEST}, {"expires_at_0": "2090-02-01"}, None),
    ({"expires_at": LATEST}, {}, None),
    ({"pinned": True}, {"pinned": "off"}, "pinned"),
    ({"pinned": True}, {"pinned": "false"}, "pinned"),
    ({"pinned": True}, {}, None),
    ({}, {"pinned": "on"}, None),
    ({"archived_at": NOW}, {"archived_at_0": "", "archived_at_1": ""}, None),
]


@pytest.mark.parametrize(("stored_fields", "changed", "field"), FORMS)
def test_a1_the_form_of_the_admin_says_the_same(
    stored_fields: dict[str, Any], changed: dict[str, str], field: str | None
) -> None:
    stored(user=caller("member").user, messages=1)
    conversation("k", "acme").update(**stored_fields)
    session = Session.objects.select_related("workspace").get()
    writer, admin, raw = caller("writer"), caller("admin"), form_of(session, title="t", **changed)
    answer = as_staff(writer).post(page("session_change", session), raw)
    if field is None:
        assert (answer.status_code, Session.objects.get().title) == (302, "t")
        return
    assert answer.status_code == 200
    assert set(answer.context["adminform"].form.errors) == {field}
    assert Session.objects.get().version == session.version
    no_deletion = as_staff(admin, "delete_session").post(page("session_change", session), raw)
    assert set(no_deletion.context["adminform"].form.errors) == {field}
    assert as_staff(admin).post(page("session_change", session), raw).status_code == 302
    assert Session.objects.get().title == "t"


def test_a1_own_sessions_may_expire_in_the_admin_too() -> None:
    writer = caller("writer")
    session = stored(user=writer.user, messages=1)
    raw = form_of(session, expires_at_0="2000-01-01", expires_at_1="00:00:00")
    assert as_staff(writer).post(page("session_change", session), raw).status_code == 302
    assert Session.objects.get().expires_at is not None


def test_a1_a_workspace_goes_with_the_right_to_delete_its_sessions() -> None:
    admin, session = caller("admin"), stored(messages=1)
    address = page("workspace_delete", session.workspace)
    assert as_staff(admin, "delete_session").post(address, {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [str(session.workspace_id)], "post": "yes"}
    as_staff(admin, "delete_session").post(page("workspace_changelist"), chosen)
    assert MessageRow.objects.count() == 1
    assert as_staff(admin).post(address, {"post": "yes"}).status_code == 302
    assert not Workspace.objects.exists()


@pytest.mark.parametrize("action", ["delete_selected", "export", "archive", "expire", "unpin"])
def test_a1_no_action_on_a_list_removes_what_is_not_the_writers(action: str) -> None:
    writer, session = caller("writer"), stored(user=caller("member").user, messages=1)
    for extra in ({"post": "yes"}, {"post": "yes", "select_across": "1"}):
        chosen = {"action": action, "_selected_action": [str(session.pk)], "form-0-expires_at_0": "2000-01-01"}
        as_staff(writer).post(page("session_changelist"), chosen | extra)
    after = Session.objects.get()
    assert (after.version, after.expires_at, MessageRow.objects.count()) == (session.version, None, 1)


def meanwhile(monkeypatch: pytest.MonkeyPatch, module: Any, **fields: Any) -> None:
    """Another request sets fields of the session between the look at the right and the write."""
    judged = module.judged

    def later(*names: Any) -> Any:
        conversation("k", "acme", branch="main").update(**fields)
        return judged(*names)

    monkeypatch.setattr(module, "judged", later)


@pytest.mark.parametrize("current", ["main", "draft"])
@pytest.mark.parametrize(
    ("before", "between", "body"),
    [
        ({"expires_at": NOW + timedelta(days=40_000)}, {"expires_at": None}, {"expires_at": FUTURE}),
        ({"pinned": False}, {"pinned": True}, {"pinned": False}),
        ({"expires_at": LATEST - timedelta(days=1)}, {"expires_at": LATEST}, {"expires_at": SOONER}),
    ],
)
def test_a1_what_counts_is_what_the_write_replaces(
    before: dict[str, Any], between: dict[str, Any], body: dict[str, Any], current: str, monkeypatch
) -> None:
    """Also where another branch is the current one: a change of main leaves the version of that."""
    writer, session = caller("writer"), stored(user=caller("member").user, messages=1)
    conversation("k", "acme").update(**before)
    conversation("k", "acme").fork("draft")
    conversation("k", "acme").switch(current)
    meanwhile(monkeypatch, api_sessions, **between)
    answer = writer.patch(writer.session(session), body)
    assert (answer.status_code, answer.json()["field"]) == (403, *body)
    after = Session.objects.get(branch="main")
    assert {name: getattr(after, name) for name in between} == between


def test_a1_what_counts_in_the_admin_is_what_the_write_replaces(monkeypatch) -> None:
    writer, session = caller("writer"), stored(user=caller("member").user, messages=1)
    conversation("k", "acme").update(expires_at=LATEST, pinned=True)
    session = Session.objects.get()
    raw = form_of(session, title="t", expires_at_0="2091-01-01", expires_at_1="00:00:00")
    meanwhile(monkeypatch, admin_sessions, expires_at=None)
    assert as_staff(writer).post(page("session_change", session), raw).status_code == 403
    after = Session.objects.get()
    assert (after.title, after.pinned) == ("1", True)


def test_a_right_to_delete_costs_no_statement_more() -> None:
    """Nor does a field that retention does not look at."""
    admin, writer, session = caller("admin"), caller("writer"), stored(user=caller("member").user, messages=1)
    bodies = ((admin, {"expires_at": FUTURE}), (admin, {"title": "t"}), (writer, {"title": "u"}))
    assert len({len(statements_of_patch(me, session, body)) for me, body in bodies}) == 1


def statements_of_patch(me: Caller, session: Session, body: dict[str, Any]) -> list[str]:
    statements: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *given: Any) -> Any:
        statements.append(sql)
        return execute(sql, *given)

    with connection.execute_wrapper(note):
        assert me.patch(me.session(session), body).status_code == 200
    return statements
