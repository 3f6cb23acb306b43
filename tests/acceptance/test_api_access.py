"""Who may see and do what through the API (FEATURES E14), and that what one may not see looks like nothing."""

import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from chat_memory import conversation
from chat_memory.models import Message as MessageRow, Session, Workspace, WorkspaceMember
from tests.acceptance.api_support import Caller, caller, stored

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]

SAID = {"role": "user", "content": "x"}


def calls(me: Caller, session) -> dict[str, int]:
    """The status of everything one can do with a session; deleting comes last."""
    address, messages = me.session(session), me.messages(session)
    return {
        "get": me.get(address).status_code,
        "messages": me.get(messages).status_code,
        "message": me.get(f"{messages}1/").status_code,
        "post": me.post(messages, SAID).status_code,
        "patch": me.patch(address, {"title": "t"}).status_code,
        "delete": me.delete(address).status_code,
    }


def outcome(read: int, write: int, delete: int) -> dict[str, int]:
    changes = {201: 201, 403: 403, 404: 404}[write]
    patch = 200 if changes == 201 else changes
    return {"get": read, "messages": read, "message": read, "post": changes, "patch": patch, "delete": delete}


@pytest.mark.parametrize(
    ("role", "own", "others"),
    [
        ("member", outcome(200, 201, 204), outcome(404, 404, 404)),
        ("reader", outcome(200, 403, 403), outcome(200, 403, 403)),
        ("writer", outcome(200, 201, 204), outcome(200, 201, 403)),
        ("admin", outcome(200, 201, 204), outcome(200, 201, 204)),
        (None, outcome(404, 404, 404), outcome(404, 404, 404)),
    ],
)
def test_roles(role, own, others) -> None:
    me = caller(role)
    mine = stored("mine", user=me.user, messages=1)
    theirs = stored("theirs", user=caller("member").user, messages=1)
    nobodys = stored("nobody's", messages=1)
    assert calls(me, mine) == own
    assert calls(me, theirs) == others
    assert calls(me, nobodys) == others


@pytest.mark.parametrize(
    ("role", "status"), [("member", 201), ("reader", 403), ("writer", 201), ("admin", 201), (None, 404)]
)
def test_who_makes_sessions(role, status: int) -> None:
    me = caller(role)
    assert me.post(me.sessions, {}).status_code == status
    assert Session.objects.count() == (status == 201)


@pytest.mark.parametrize("role", ["member", "reader", "writer", "admin"])
def test_list_holds_what_the_role_sees(role: str) -> None:
    me, other = caller(role), caller("member")
    stored("mine", user=me.user)
    stored("theirs", user=other.user)
    stored("k", workspace="elsewhere", user=me.user)
    everything = {"mine"} if role == "member" else {"mine", "theirs"}
    assert {each["key"] for each in me.get(me.sessions).json()["results"]} == everything
    for query in ({"key": "theirs"}, {"user_key": str(other.user.pk)}):
        assert {each["key"] for each in me.get(me.sessions, query).json()["results"]} == everything - {"mine"}


def test_user_key_that_looks_like_mine_does_not_make_a_session_mine() -> None:
    me = caller("member")
    assert me.get(me.session(stored("k", user=str(me.user.pk)))).status_code == 404


def test_member_cannot_open_a_key_of_somebody_else() -> None:
    me = caller("member")
    stored("theirs", user=caller("member").user)
    answer = me.post(me.sessions, {"key": "theirs", "title": "mine now"})
    assert (answer.status_code, answer.json()["code"]) == (409, "key_taken")
    assert "id" not in answer.json()
    assert Session.objects.get().title == ""


def test_member_cannot_write_for_another_user() -> None:
    me = caller("member")
    assert me.post(me.sessions, {"user_key": "customer-7"}).status_code == 403
    assert not Session.objects.exists()


@pytest.mark.parametrize("role", ["member", "writer", "admin"])
@pytest.mark.parametrize(
    ("grants", "granted"),
    [({}, set()), ({"may_send_system": True}, {"system"}), ({"may_send_tool": True}, {"tool", "function"})],
)
def test_what_steers_a_model_needs_a_grant(role: str, grants, granted) -> None:
    me = caller(role, **grants)
    session = stored(user=me.user)
    for said in ("system", "tool", "function", "user", "assistant"):
        allowed = said in granted | {"user", "assistant"}
        batch = [SAID, {"role": said, "content": "x"}]
        answer = me.post(me.messages(session), batch)
        assert answer.status_code == (201 if allowed else 403)
        if not allowed:
            assert answer.json()["field"] == "messages[1].role"
            assert me.post(me.messages(session), batch[1]).json()["field"] == "role"
    assert MessageRow.objects.count() == 2 * (2 + len(granted))


def test_developer_is_a_system_message_and_needs_its_grant() -> None:
    session = stored()
    refused = caller().post(caller().messages(session), {"role": "developer", "content": "x"})
    assert (refused.status_code, "the grant may_send_system" in refused.json()["detail"]) == (403, True)
    granted = caller(may_send_system=True)
    assert granted.post(granted.messages(session), {"role": "developer", "content": "x"}).status_code == 201
    (shown,) = granted.get(granted.messages(session)).json()["results"]
    assert shown["role"] == "developer"


@pytest.mark.parametrize("role", ["System", "system ", "\u017fystem", ""])
def test_role_that_does_not_exist_is_no_way_around_the_grant(role: str) -> None:
    me, session = caller(), stored()
    assert me.post(me.messages(session), {"role": role, "content": "x"}).status_code == 422


def test_everything_invisible_has_one_answer() -> None:
    """No difference between what is not there, what is elsewhere and what belongs to somebody else."""
    me, session = caller("member"), stored(user=caller("member").user, messages=1)
    mine = stored("mine", user=me.user)
    elsewhere = stored("k", workspace="elsewhere", user=me.user)
    unknown = "0190b5f2-0000-7000-8000-000000000000"
    addresses = [
        me.session(session),
        me.messages(session),
        f"{me.messages(session)}1/",
        f"{me.messages(mine)}1/",
        f"{me.messages(mine)}unknown/",
        f"{me.messages(mine)}%00/",
        f"{me.messages(mine)}{'9' * 400}/",
        me.session(elsewhere),
        f"/api/workspaces/elsewhere/sessions/{elsewhere.id}/",
        *(
            me.session(text)
            for text in (unknown, "x", "%00", f"{{{mine.id}}}", str(mine.id).replace("-", ""), "\u0661" * 32)
        ),
        *(f"/api/workspaces/{slug}/" for slug in ("elsewhere", "none", "%00", "a%0Ab", "*", "é", "x" * 500)),
        "/api/workspaces/none/sessions/",
    ]
    answers = [me.get(address) for address in addresses]
    assert {answer.status_code for answer in answers} == {404}
    assert len({(answer.content, answer["Content-Type"]) for answer in answers}) == 1
    posted = me.post(f"/api/workspaces/none/sessions/{unknown}/messages/", SAID)
    assert (posted.status_code, posted.content) == (404, answers[0].content)


def test_session_is_found_in_its_own_workspace_alone() -> None:
    """Even by a member of both: the address says which tenant is meant."""
    me = caller("admin")
    elsewhere = stored("k", workspace="elsewhere", messages=1)
    WorkspaceMember.objects.create(workspace=elsewhere.workspace, user=me.user, role="admin")
    assert me.get(f"/api/workspaces/elsewhere/sessions/{elsewhere.id}/messages/").status_code == 200
    assert set(calls(me, elsewhere).values()) == {404}


def test_session_made_again_under_its_key_is_another_one() -> None:
    """Between looking a session up and reading it, it is deleted, and somebody else makes one of the same key."""
    for address in ("", "messages/", "messages/1/"):
        me = caller("member")
        session = stored(user=me.user, messages=1)

        def change(execute, sql, *given, of=session):
            answer = execute(sql, *given)
            if "may_send_system" in sql and of.history().delete():
                stored(user=caller("member").user, messages=1)
            return answer

        with connection.execute_wrapper(change):
            assert me.get(me.session(session) + address).status_code == 404
        conversation("k", "acme").delete()


def test_upper_case_id_is_the_same_id() -> None:
    me, session = caller(), stored()
    assert me.get(me.session(str(session.id).upper())).status_code == 200


def test_api_never_makes_a_workspace() -> None:
    me = caller(None)
    assert me.post("/api/workspaces/new/sessions/", {"key": "k"}).status_code == 404
    assert me.post("/api/workspaces/", {"slug": "new"}).status_code == 405
    assert not Workspace.objects.filter(slug="new").exists()


def test_nobody_is_told_to_log_in_whether_there_is_something_or_not() -> None:
    session = stored(messages=1)
    addresses = [
        "/api/",
        "/api/workspaces/",
        f"/api/workspaces/acme/sessions/{session.id}/messages/",
        "/api/workspaces/no/",
    ]
    answers = [APIClient().get(address) for address in addresses]
    assert {answer.status_code for answer in answers} <= {401, 403}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["code"] == "not_authenticated"
    assert APIClient().post(addresses[2], SAID, format="json").status_code in {401, 403}
    assert conversation("k", "acme").count() == 1


def test_g1_log_in_by_session_needs_the_csrf_token() -> None:
    """G1: and with it a body is read, which some versions of the framework refused."""
    me, session = caller(), stored()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(me.user)
    assert browser.get(me.messages(session)).status_code == 200
    refused = browser.post(me.messages(session), SAID, content_type="application/json")
    assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")
    browser.cookies["csrftoken"] = token = "x" * 32
    passed = browser.post(me.messages(session), SAID, content_type="application/json", headers={"X-CSRFToken": token})
    assert passed.status_code == 201


def test_a15_a_user_who_is_gone_has_a_cookie_that_opens_nothing() -> None:
    """Deactivated, then deleted: what was theirs keeps their key, belongs to nobody, and no newcomer inherits it."""
    me, browser = caller("member"), Client()
    session = stored(user=me.user, messages=1)
    browser.force_login(me.user)
    assert browser.get(me.messages(session)).status_code == 200
    me.user.is_active = False
    me.user.save()
    assert browser.get(me.messages(session)).status_code == 403
    key = str(me.user.pk)
    me.user.delete()
    assert browser.get(me.messages(session)).status_code == 403
    session.refresh_from_db()
    assert (session.user_key, session.user_id) == (key, None)
    assert caller("member").get(me.messages(session)).status_code == 404


def test_membership_that_ends_ends_at_once() -> None:
    me, session = caller(), stored(messages=1)
    assert me.get(me.messages(session)).status_code == 200
    me.user.chat_memory_memberships.all().delete()
    assert me.get(me.messages(session)).status_code == 404
