"""Workspaces and sessions through the API: found, opened by key, changed and deleted."""

from uuid import UUID

import pytest
from django.contrib.auth import get_user_model

from chat_memory.models import Message as MessageRow, Session, WorkspaceMember
from tests.acceptance.api_support import caller, listed_keys, stored

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]

ODD_KEYS = ["a:b/*?", "ключ", "x" * 255, " ", "../..", "%00"]


def test_root_leads_to_the_workspaces() -> None:
    me = caller()
    root = me.get("/api/").json()
    assert me.get(root["workspaces"]).json()["results"][0]["slug"] == "acme"


def test_workspaces_are_those_of_the_member() -> None:
    me = caller("reader", "b", may_send_tool=True)
    for slug in ("a", "c"):
        WorkspaceMember.objects.create(workspace=stored("k", slug).workspace, user=me.user, role="admin")
    caller("admin", "d")
    found = me.get("/api/workspaces/").json()
    assert [(each["slug"], each["role"], each["may_send_tool"]) for each in found["results"]] == [
        ("a", "admin", False),
        ("b", "reader", True),
        ("c", "admin", False),
    ]
    assert me.get("/api/workspaces/b/").json() == found["results"][1]
    first = me.get("/api/workspaces/", {"page_size": 2}).json()
    last = me.get(first["next"]).json()
    assert ([each["slug"] for each in last["results"]], last["next"]) == (["c"], None)
    assert me.get(last["previous"]).json()["results"] == first["results"]


def test_session_is_made_with_all_its_fields() -> None:
    me = caller("member")
    fields = {"title": "Trip", "tags": ["a", "b"], "metadata": {"n": [1, None]}, "pinned": True}
    answer = me.post(me.sessions, {"key": "k", "expires_at": "2031-01-01T00:00:00+02:00", **fields})
    assert answer.status_code == 201
    made = answer.json()
    assert made | fields == made
    assert (made["key"], made["user_key"], made["message_count"]) == ("k", str(me.user.pk), 0)
    assert made["expires_at"] == "2030-12-31T22:00:00Z"
    assert answer["Location"] == f"http://testserver{me.session(made['id'])}"
    seen = me.get(answer["Location"])
    assert seen.json() == made
    assert seen["ETag"] == answer["ETag"]
    assert Session.objects.get().user == me.user


def test_post_of_a_known_key_opens_it_as_it_is() -> None:
    me, session = caller(), stored(messages=2)
    answer = me.post(me.sessions, {"key": "k", "title": "another"})
    assert answer.status_code == 200
    assert (answer.json()["id"], answer.json()["title"]) == (str(session.id), "1")
    assert answer.json()["message_count"] == 2


def test_session_without_a_key_gets_one() -> None:
    me = caller()
    made = [me.post(me.sessions, {}).json()["key"] for _ in range(2)]
    assert [UUID(key).version for key in made] == [7, 7]
    again = [me.post(me.sessions, {}, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in again] == [201, 200]
    assert again[0].json() == again[1].json()


@pytest.mark.parametrize("key", ODD_KEYS)
def test_key_is_any_text(key: str) -> None:
    me = caller()
    made = me.post(me.sessions, {"key": key})
    assert made.status_code == 201
    assert me.get(me.sessions, {"key": key}).json()["results"] == [made.json()]


def test_service_writes_for_users_of_another_system() -> None:
    me = caller("writer")
    made = me.post(me.sessions, {"key": "theirs", "user_key": "customer-7"}).json()
    assert made["user_key"] == "customer-7"
    assert Session.objects.get().user is None
    stored("other")
    assert listed_keys(me.get(me.sessions, {"user_key": "customer-7"}).json()) == ["theirs"]


def test_title_and_the_rest_are_patched_one_by_one() -> None:
    me, session = caller(), stored(messages=1)
    address = me.session(session)
    before = me.get(address).json()
    changed = me.patch(address, {"title": "New", "archived": True}).json()
    assert (changed["title"], changed["version"]) == ("New", before["version"] + 1)
    assert changed["archived_at"] is not None
    assert changed["tags"] == before["tags"]
    back = me.patch(address, {"archived": False, "metadata": {"big": 10**3999}})
    assert back.json()["archived_at"] is None
    assert back.json()["metadata"]["big"] == 10**3999
    assert me.get(address).json() == back.json()
    assert me.get(address)["ETag"] == back["ETag"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": "x" * 201}, "title"),
        ({"pinned": None}, "pinned"),
        ({"title": "\x00"}, "title"),
        ({"tags": "x"}, "tags"),
        ({"tags": ["a", 1]}, "tags[1]"),
        ({"metadata": []}, "metadata"),
        ({"pinned": 1}, "pinned"),
        ({"archived": "yes"}, "archived"),
        ({"archived": True, "archived_at": None}, "archived"),
        ({"archived_at": 5}, "archived_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2031-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"version": 5}, "version"),
        ({"key": "other"}, "key"),
        ({"user_id": 1}, "user_id"),
    ],
)
def test_unstorable_field_is_named_and_nothing_changes(body, field: str) -> None:
    me, session = caller(), stored()
    before = me.get(me.session(session)).json()
    answer = me.patch(me.session(session), {"title": "ok", **body})
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert me.get(me.session(session)).json() == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"key": ""}, "key"),
        ({"key": 0}, "key"),
        ({"key": ["k"]}, "key"),
        ({"key": "a\nb"}, "key"),
        ({"key": "x" * 256}, "key"),
        ({"user_key": ""}, "user_key"),
        ({"user_key": {}}, "user_key"),
        ({"color": "red"}, "color"),
        ({"base_seq": 5}, "base_seq"),
        ({"created_at": "1999-01-01T00:00:00Z"}, "created_at"),
        ({"title": []}, "title"),
    ],
)
def test_unusable_new_session_is_refused(body, field: str) -> None:
    me = caller()
    answer = me.post(me.sessions, body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert not Session.objects.exists()


def test_null_empties() -> None:
    """As a message's metadata is null where it has none."""
    me = caller()
    made = me.post(me.sessions, {"key": "k", "title": None, "tags": None, "metadata": None})
    assert made.status_code == 201
    address = me.session(made.json()["id"])
    me.patch(address, {"title": "x", "tags": ["a"], "metadata": {"a": 1}})
    emptied = me.patch(address, {"title": None, "tags": None, "metadata": None}).json()
    assert [emptied[name] for name in ("title", "tags", "metadata")] == ["", [], {}]
    assert emptied == made.json() | {name: emptied[name] for name in ("version", "updated_at")}


def test_refusal_of_a_member_names_those_that_there_are() -> None:
    me, session = caller(), stored()
    settable = "archived, archived_at, expires_at, metadata, pinned, tags, title"
    assert me.patch(me.session(session), {"color": 1}).json()["detail"] == f"is not one of {settable}"
    made = me.post(me.sessions, {"color": 1}).json()
    assert (
        made["detail"]
        == "is not one of archived, archived_at, expires_at, key, metadata, pinned, tags, title, user_key"
    )


def test_delete_takes_the_messages_along() -> None:
    me, session = caller("admin"), stored(messages=3)
    answer = me.delete(me.session(session))
    assert (answer.status_code, answer.content) == (204, b"")
    assert me.get(me.session(session)).status_code == 404
    assert me.delete(me.session(session)).status_code == 404
    assert not MessageRow.objects.exists()


def test_branches_and_deleted_ones_are_not_listed_and_not_found() -> None:
    me, root = caller("admin"), stored()
    branch = Session.objects.create(
        workspace=root.workspace,
        key="k",
        branch="b",
        parent=root,
        created_at=root.created_at,
        updated_at=root.created_at,
        active_at=root.created_at,
        listed_at=root.created_at,
    )
    gone = stored("gone")
    Session.objects.filter(pk=gone.pk, workspace=gone.workspace).update(deleted_at=gone.created_at)
    assert listed_keys(me.get(me.sessions).json()) == ["k"]
    for headers, found in (({}, 200), ({"If-None-Match": "*"}, 304)):
        codes = [me.get(me.session(each), **headers).status_code for each in (root, branch, gone)]
        assert codes == [found, 404, 404]


def test_session_outlives_its_user() -> None:
    me, owner = caller("reader"), caller("member")
    owner.post(owner.sessions, {"key": "k"})
    user_key = str(owner.user.pk)
    get_user_model().objects.filter(pk=owner.user.pk).delete()
    found = me.get(me.sessions, {"user_key": user_key}).json()
    assert (listed_keys(found), found["results"][0]["user_key"]) == (["k"], user_key)
