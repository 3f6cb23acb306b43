"""Edits and deletion of sessions and workspaces: through the conversation, whole, and never with a traceback."""

import json
from datetime import UTC, datetime

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User

from chat_memory import Message, conversation
from chat_memory.history.conversation import of_session
from chat_memory.models import Message as MessageRow, Session, Workspace, WorkspaceMember
from tests.acceptance.admin_world import as_a_browser_has_it, page, stored_session, user

pytestmark = pytest.mark.django_db

AS_SHOWN = {
    "title": "",
    "tags": "",
    "metadata": "{}",
    "archived_at_0": "",
    "archived_at_1": "",
    "expires_at_0": "",
    "expires_at_1": "",
}


def save(client, session: Session, **fields: str):
    return client.post(page("session_change", session), AS_SHOWN | fields)


def test_an_edit_moves_the_version(admin_client) -> None:
    session = stored_session("edited")
    response = save(
        admin_client,
        session,
        title="Refund",
        tags="billing\r\n\r\n urgent \r\n",
        metadata='{"b": 1, "ä": [2.50]}',
        pinned="on",
        archived_at_0="2026-03-01",
        archived_at_1="12:30",
    )
    assert response.status_code == 302
    after = Session.objects.get(pk=session.pk)
    assert (after.title, after.tags, after.metadata) == ("Refund", ["billing", "urgent"], {"b": 1, "ä": [2.5]})
    assert after.pinned
    assert after.archived_at == datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    assert after.version == session.version + 1
    assert after.vtoken != session.vtoken
    assert after.prev_vtoken == session.vtoken
    assert (after.last_seq, after.message_count, after.key) == (2, 2, "edited")


def test_saving_what_was_shown_changes_nothing(admin_client) -> None:
    session = stored_session("same")
    session.history().update(title="T", tags=["a b", "c"], metadata={"k": {"n": None}})
    before = Session.objects.get(pk=session.pk)
    form = admin_client.get(page("session_change", session)).context["adminform"].form
    shown = {name: form[name].value() for name in ("title", "tags", "metadata")}
    assert save(admin_client, session, **shown).status_code == 302
    assert Session.objects.filter(pk=session.pk, version=before.version, updated_at=before.updated_at).exists()


def test_only_what_differs_is_written(admin_client) -> None:
    """Two people on one form do not undo each other's fields."""
    session = stored_session("both")
    session.history().update(title="by the other")
    assert save(admin_client, session, title="by the other", tags="mine").status_code == 302
    after = Session.objects.get(pk=session.pk)
    assert (after.title, after.tags) == ("by the other", ["mine"])


def test_a_form_that_was_open_brings_nothing_back(admin_client) -> None:
    """Neither a title that went with its message, nor what others have set since the page was shown."""
    session = stored_session("open", size=1)
    chat = session.history()
    moment = datetime(2027, 3, 1, 12, 30, 15, 7, tzinfo=UTC)
    chat.update(tags=["a", "b"], metadata={"k": ["<&>", 1]}, pinned=True, expires_at=moment)
    shown = as_a_browser_has_it(admin_client.get(page("session_change", session)))
    assert shown["title"] == shown["initial-title"] == "open says 1"
    chat.redact(1)
    chat.update(metadata={"k": "theirs"}, pinned=False)
    assert admin_client.post(page("session_change", session), shown | {"tags": "mine"}).status_code == 302
    after = Session.objects.get(pk=session.pk)
    assert (after.title, after.title_made, after.tags) == ("", True, ["mine"])
    assert (after.metadata, after.pinned, after.expires_at) == ({"k": "theirs"}, False, moment)
    again = as_a_browser_has_it(admin_client.get(page("session_change", session)))
    assert admin_client.post(page("session_change", session), again).status_code == 302
    assert Session.objects.get(pk=session.pk).version == after.version
    wrong = admin_client.post(page("session_change", session), again | {"metadata": "{", "title": "New"})
    still = as_a_browser_has_it(wrong)
    assert (still["title"], still["initial-title"], still["initial-tags"]) == ("New", "", "mine")
    assert still["initial-metadata"] == again["initial-metadata"]
    half = admin_client.post(page("session_change", session), again | {"metadata": r'{"a": "\ud83d"}'})
    assert half.status_code == 200
    assert admin_client.post(page("session_change", session), still | {"metadata": '{"k": 1}'}).status_code == 302
    assert Session.objects.get(pk=session.pk).metadata == {"k": 1}


def test_what_a_session_is_cannot_be_edited(admin_client) -> None:
    session = stored_session("fixed")
    other = Workspace.objects.create(slug="other")
    forged = {"key": "new", "workspace": str(other.pk), "last_seq": "0", "version": "9", "user_key": "x", "branch": "b"}
    save(admin_client, session, title="New", **forged)
    after = Session.objects.get(pk=session.pk)
    names = ("key", "workspace_id", "last_seq", "user_key", "branch")
    assert [getattr(after, name) for name in names] == [getattr(session, name) for name in names]
    assert after.title == "New"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "x" * 201),
        ("title", "nul\x00"),
        ("tags", "x" * 101),
        ("tags", "bell\x07"),
        ("tags", "nul\x00"),
        ("tags", "\n".join(f"tag {number}" for number in range(101))),
        ("metadata", "[1]"),
        ("metadata", "null"),
        ("metadata", "{"),
        ("metadata", '{"a": NaN}'),
        ("metadata", '{"a": "\\u0000"}'),
        ("metadata", '{"a": "\\ud800"}'),
        ("metadata", '{"a": ' + "9" * 5000 + "}"),
        ("metadata", json.dumps({"a": "x" * 70_000})),
        ("metadata", '{"a":' * 100 + "1" + "}" * 100),
        ("metadata", '{"a":' * 600 + "1" + "}" * 600),
        ("metadata", '{"a":' * 100_000 + "1" + "}" * 100_000),
        ("expires_at_0", "soon"),
    ],
)
def test_bad_input_is_a_form_error(field: str, value: str, admin_client) -> None:
    session = stored_session("kept")
    response = save(admin_client, session, **{field: value})
    assert response.status_code == 200
    assert field.removesuffix("_0") in response.context["adminform"].form.errors
    assert Session.objects.get(pk=session.pk).version == session.version


def test_every_error_shows_at_once_and_nothing_is_written(admin_client) -> None:
    session = stored_session("kept")
    response = save(admin_client, session, title="Fine", tags="x" * 101, metadata="[1]")
    assert set(response.context["adminform"].form.errors) == {"tags", "metadata"}
    assert Session.objects.get(pk=session.pk).title == "kept says 1"


def test_a_session_deleted_meanwhile_is_not_found(admin_client, monkeypatch) -> None:
    session = stored_session("racing")

    def gone(row: Session):
        Session.objects.filter(pk=row.pk).delete()
        return of_session(row)

    monkeypatch.setattr("chat_memory.admin.pages.sessions.of_session", gone)
    assert save(admin_client, session, title="Late").status_code == 404


def test_deletion_takes_the_messages(admin_client) -> None:
    session, other = stored_session("deleted", size=5), stored_session("left")
    shown = admin_client.get(page("session_delete", session))
    assert "5 messages" in shown.text
    assert admin_client.post(page("session_delete", session), {"post": "yes"}).status_code == 302
    assert list(Session.objects.values_list("pk", flat=True)) == [other.pk]
    assert set(MessageRow.objects.values_list("session_id", flat=True)) == {other.pk}


def test_bulk_deletion_takes_the_messages(admin_client) -> None:
    doomed = [stored_session(f"deleted-{number}", size=3) for number in range(3)]
    left = stored_session("left")
    form = {"action": "delete_selected", "_selected_action": [str(session.pk) for session in doomed]}
    assert "9" in admin_client.post(page("session_changelist"), form).text
    assert admin_client.post(page("session_changelist"), form | {"post": "yes"}).status_code == 302
    assert list(Session.objects.values_list("pk", flat=True)) == [left.pk]
    assert MessageRow.objects.count() == left.message_count


def test_the_question_before_a_deletion_reads_no_messages(admin_client, django_assert_max_num_queries) -> None:
    session = stored_session("long", size=200)
    with django_assert_max_num_queries(6) as queries:
        assert admin_client.get(page("session_delete", session)).status_code == 200
    assert not [query for query in queries if 'FROM "chat_memory_message"' in query["sql"]]


@pytest.mark.parametrize("name", ["message_add", "session_add"])
def test_nothing_is_added_by_a_forged_post(name: str, admin_client) -> None:
    assert admin_client.post(page(name), {"key": "x", "content": "x"}).status_code == 403


@pytest.mark.parametrize("name", ["message_change", "message_delete"])
def test_a_message_is_neither_changed_nor_deleted(name: str, admin_client) -> None:
    stored_session("kept", size=1)
    message = MessageRow.objects.get()
    assert admin_client.post(page(name, message), {"content": "forged", "post": "yes"}).status_code == 403
    form = {"action": "delete_selected", "_selected_action": [str(message.pk)], "post": "yes"}
    admin_client.post(page("message_changelist"), form)
    assert MessageRow.objects.get().content == "kept says 1"


def test_a_workspace_goes_with_everything_in_it(admin_client) -> None:
    doomed, left = stored_session("a", "doomed", size=4), stored_session("b", "left")
    WorkspaceMember.objects.create(workspace=doomed.workspace, user=user("somebody"))
    assert "doomed" in admin_client.get(page("workspace_delete", doomed.workspace)).text
    assert admin_client.post(page("workspace_delete", doomed.workspace), {"post": "yes"}).status_code == 302
    assert list(Workspace.objects.values_list("slug", flat=True)) == ["left"]
    assert list(Session.objects.values_list("pk", flat=True)) == [left.pk]
    assert set(MessageRow.objects.values_list("session_id", flat=True)) == {left.pk}
    assert not WorkspaceMember.objects.exists()
    assert conversation("a", "doomed").messages() == []


def test_what_is_deleted_softly_is_shown_and_left_alone(admin_client) -> None:
    session = stored_session("hidden")
    Session.objects.filter(pk=session.pk).update(deleted_at=session.updated_at)
    assert "hidden" in admin_client.get(page("session_changelist")).text
    assert "hidden says 1" in admin_client.get(page("session_transcript", session)).text
    assert save(admin_client, session, title="New").status_code == 403
    assert admin_client.post(page("session_delete", session), {"post": "yes"}).status_code == 403
    assert Session.objects.get(pk=session.pk).title == "hidden says 1"


@pytest.mark.parametrize("listed", [True, False])
def test_members_are_added_on_the_page_of_the_workspace(listed: bool, admin_client, monkeypatch) -> None:
    """Also where the host's admin has no page for its users, which an autocomplete would need."""
    if not listed:
        monkeypatch.delitem(site._registry, User)
    workspace, joining = Workspace.objects.create(slug="acme"), user("joining")
    shown = admin_client.get(page("workspace_change", workspace))
    assert ("admin-autocomplete" in shown.text) is listed
    form = {"name": "", "metadata": "{}", "members-TOTAL_FORMS": "1", "members-INITIAL_FORMS": "0"}
    form |= {"members-0-user": str(joining.pk), "members-0-role": "writer", "members-0-workspace": str(workspace.pk)}
    assert admin_client.post(page("workspace_change", workspace), form).status_code == 302
    assert [(found.user, found.role) for found in workspace.members.all()] == [(joining, "writer")]


def test_a_workspace_keeps_its_slug(admin_client) -> None:
    workspace = Workspace.objects.create(slug="fixed")
    form = {"slug": "new", "name": "New", "metadata": '{"a": 1}'}
    form |= {"members-TOTAL_FORMS": "0", "members-INITIAL_FORMS": "0"}
    assert admin_client.post(page("workspace_change", workspace), form).status_code == 302
    workspace.refresh_from_db()
    assert (workspace.slug, workspace.name, workspace.metadata) == ("fixed", "New", {"a": 1})


@pytest.mark.parametrize(
    ("field", "value"), [("slug", "with space"), ("slug", "ä"), ("metadata", "[1]"), ("metadata", '{"a": "\\ud800"}')]
)
def test_a_workspace_with_bad_fields_is_a_form_error(field: str, value: str, admin_client) -> None:
    form = {"slug": "good", "metadata": "", "members-TOTAL_FORMS": "0", "members-INITIAL_FORMS": "0"}
    response = admin_client.post(page("workspace_add"), form | {field: value})
    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
    assert not Workspace.objects.exists()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?q=KEY-A", {"key-a"}),
        ("?q=Lost+parcel", {"key-b"}),
        ("?q=customer-7", {"key-c"}),
        ("?status=archived", {"key-b"}),
        ("?status=pinned", {"key-c"}),
        ("?status=active", {"key-a", "key-c"}),
        ("?workspace=globex", {"key-c"}),
        ("", {"key-a", "key-b", "key-c"}),
    ],
)
def test_sessions_are_found(query: str, found: set[str], admin_client) -> None:
    stored_session("key-a")
    archived = stored_session("key-b").history().append(Message.user("more")).messages[0].created_at
    conversation("key-b", "acme").update(title="Lost parcel", archived_at=archived)
    stored_session("key-c", "globex", user="customer-7").history().update(pinned=True)
    rows = admin_client.get(page("session_changelist") + query).context["cl"].result_list
    assert {session.key for session in rows} == found


def test_the_newest_session_comes_first(admin_client) -> None:
    for key in ("first", "second", "third"):
        stored_session(key)
    conversation("first", "acme").append(Message.user("again"))
    rows = admin_client.get(page("session_changelist")).context["cl"].result_list
    assert [session.key for session in rows] == ["first", "third", "second"]


@pytest.mark.parametrize(
    ("query", "listed"), [("?o=3", ["second", "third", "first"]), ("?o=-3", ["first", "third", "second"])]
)
def test_last_activity_orders_exactly_and_other_changes_do_not(query: str, listed: list[str], admin_client) -> None:
    """All of them were active within ACTIVITY_GRAIN, so that the indexed copy alone would not tell."""
    for key in ("first", "second", "third"):
        stored_session(key)
    conversation("first", "acme").append(Message.user("again"))
    conversation("second", "acme").update(title="New", pinned=True)
    conversation("third", "acme").clear()
    response = admin_client.get(page("session_changelist") + query)
    assert [session.key for session in response.context["cl"].result_list] == listed
    assert "Last active" in response.text
