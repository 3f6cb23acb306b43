"""Messages through the API: appended exactly once, read by position, refused in problem documents."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.test import override_settings

from chat_memory import Message, conversation
from chat_memory.models import Message as MessageRow
from tests.acceptance.api_support import caller, stored

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]

MEMBERS = [
    "id", "seq", "turn", "role", "content", "name", "tool_calls", "tool_call_id", "metadata", "tokens", "created_at",
    "state",
]  # fmt: skip


def seqs(page) -> list[int]:
    return [message["seq"] for message in page["results"]]


def test_message_is_stored_and_read_back_whole() -> None:
    me, session = caller(may_send_tool=True), stored()
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"b":1,"a":2}'}}]
    said = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "é\u2028😀"}],
            "name": "Ann",
            "metadata": {"z": 1, "a": {}},
        },
        {"role": "assistant", "content": None, "tool_calls": calls, "id": "of-mine"},
        {"role": "tool", "content": "", "tool_call_id": "c1"},
    ]
    answer = me.post(me.messages(session), said)
    assert answer.status_code == 201
    assert answer["Content-Type"] == "application/json"
    assert [list(message) for message in answer.json()] == [MEMBERS] * 3
    for given, kept in zip(said, answer.json(), strict=True):
        assert kept | given == kept
        assert kept["created_at"].endswith("Z")
    assert [message["seq"] for message in answer.json()] == [1, 2, 3]
    assert me.get(me.messages(session)).json() == {"results": answer.json(), "next": None, "previous": None}


def test_single_message_is_answered_by_a_single_one_with_its_address() -> None:
    me, session = caller(), stored(messages=2)
    answer = me.post(me.messages(session), {"role": "user", "content": "3"})
    assert answer.status_code == 201
    assert answer["Location"] == f"http://testserver{me.messages(session)}3/"
    assert me.get(answer["Location"]).json() == answer.json()


def test_what_is_the_servers_is_ignored_in_a_message() -> None:
    """A client may send back what it got; it cannot set a time, a position or a token count."""
    me, session = caller(), stored()
    forged = {"seq": 99, "created_at": "1999-01-01T00:00:00Z", "tokens": 0, "more": 1}
    kept = me.post(me.messages(session), {"role": "user", "content": "x"} | forged).json()
    assert kept["seq"] == 1
    assert kept["tokens"] > 0
    assert not kept["created_at"].startswith("1999")
    assert me.post(me.messages(session), kept).status_code == 200


@pytest.mark.parametrize("headers", [{"Idempotency-Key": "once: a"}, {}])
def test_retry_is_a_replay(headers) -> None:
    """FEATURES E11: with an Idempotency-Key, or with an id of the client's."""
    me, session = caller(), stored()
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    if not headers:
        said[0]["id"], said[1]["id"] = "a", "b"
    first, again = (me.post(me.messages(session), said, **headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert MessageRow.objects.count() == 2


def test_idempotency_key_is_the_users_own_and_the_sessions() -> None:
    me, other, session = caller(), caller(), stored()
    said = {"role": "user", "content": "hi"}
    places = [(me, session), (other, session), (me, stored("another"))]
    answers = [who.post(who.messages(where), said, **{"Idempotency-Key": "k"}) for who, where in places]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.json()["id"] for answer in answers}) == 3


def test_same_id_with_other_content_is_a_conflict() -> None:
    me, session = caller(), stored()
    key = {"Idempotency-Key": "k"}
    assert me.post(me.messages(session), {"role": "user", "content": "a"}, **key).status_code == 201
    answer = me.post(me.messages(session), [{"role": "user", "content": "b"}, {"role": "user", "content": "c"}], **key)
    assert answer.status_code == 409
    assert (answer.json()["code"], answer.json()["field"]) == ("message_conflict", "Idempotency-Key")
    assert "at position 1" in answer.json()["detail"]
    assert MessageRow.objects.count() == 1


@pytest.mark.parametrize("alone", [True, False])
def test_conflict_names_the_message_of_the_body(alone: bool) -> None:
    """One by itself has no index."""
    me, session = caller(), stored()
    said = {"role": "user", "content": "a", "id": "x"}
    assert me.post(me.messages(session), said).status_code == 201
    other = said | {"content": "b"}
    problem = me.post(me.messages(session), other if alone else [other]).json()
    assert (problem["status"], problem["code"]) == (409, "message_conflict")
    assert problem.get("field") == (None if alone else "messages[0]")
    assert problem["detail"] == "message id 'x' is already stored with different content, at position 1"


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_unusable_idempotency_key_is_refused(key: str) -> None:
    me, session = caller(), stored()
    answer = me.post(me.messages(session), {"role": "user", "content": "a"}, **{"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["field"]) == (400, "Idempotency-Key")


def test_partly_known_batch_is_completed() -> None:
    me, session = caller(), stored()
    known = {"role": "user", "content": "a", "id": "a"}
    me.post(me.messages(session), known)
    answer = me.post(me.messages(session), [known, {"role": "user", "content": "b", "id": "b"}])
    assert answer.status_code == 201
    assert [message["seq"] for message in answer.json()] == [1, 2]


@pytest.mark.parametrize(
    ("query", "expected", "newer", "older"),
    [
        ({}, [8, 9, 10], None, [5, 6, 7]),
        ({"before_seq": 8}, [5, 6, 7], [8, 9, 10], [2, 3, 4]),
        ({"before_seq": 4}, [1, 2, 3], [4, 5, 6], None),
        ({"before_seq": 1}, [], [1, 2, 3], None),
        ({"before_seq": 0}, [], [1, 2, 3], None),
        ({"after_seq": 0}, [1, 2, 3], [4, 5, 6], None),
        ({"after_seq": 3}, [4, 5, 6], [7, 8, 9], [1, 2, 3]),
        ({"after_seq": 9}, [10], None, [7, 8, 9]),
        ({"after_seq": 10}, [], None, [8, 9, 10]),
        ({"after_seq": 99}, [], None, [8, 9, 10]),
        ({"before_seq": 99}, [8, 9, 10], None, [5, 6, 7]),
        ({"after_seq": 2, "before_seq": 9}, [3, 4, 5], [6, 7, 8], None),
        ({"after_seq": 5, "before_seq": 9}, [6, 7, 8], None, None),
        ({"after_seq": 5, "before_seq": 6}, [], None, None),
    ],
)
def test_pages_by_position(query, expected, newer, older) -> None:
    me, session = caller("reader"), stored(messages=10)
    page = me.get(me.messages(session), query | {"page_size": 3}).json()
    assert seqs(page) == expected
    for link, beyond in (("next", newer), ("previous", older)):
        assert (seqs(me.get(page[link]).json()) if page[link] else None) == beyond


@pytest.mark.parametrize("start", [{}, {"after_seq": 0}])
def test_following_the_links_shows_every_message_once(start) -> None:
    me, session = caller("reader"), stored(messages=23)
    forward = "next" if start else "previous"
    found: list[int] = []
    link = me.messages(session)
    query = start | {"page_size": 4}
    while link:
        page = me.get(link, query).json()
        found = found + seqs(page) if start else seqs(page) + found
        link, query = page[forward], None
    assert found == list(range(1, 24))


def test_cleared_messages_are_gone_from_pages_and_links() -> None:
    me, session = caller(), stored(messages=5)
    session.history().clear()
    me.post(me.messages(session), [{"role": "user", "content": str(number)} for number in (6, 7)])
    page = me.get(me.messages(session), {"page_size": 1}).json()
    assert seqs(page) == [7]
    older = me.get(page["previous"]).json()
    assert (seqs(older), older["previous"]) == ([6], None)
    assert me.get(f"{me.messages(session)}5/").status_code == 404


@pytest.mark.parametrize("cleared", [False, True])
@pytest.mark.parametrize("query", [{}, {"after_seq": 2}, {"after_seq": 99}, {"before_seq": 3}, {"before_seq": 99}])
def test_empty_session_has_an_empty_page(query, cleared: bool) -> None:
    me, session = caller(), stored(messages=5 if cleared else 0)
    session.history().clear()
    last = 5 if cleared else 0
    told = {"last_seq": last} if query.get("after_seq", 0) > last else {}
    assert me.get(me.messages(session), query).json() == {"results": [], "next": None, "previous": None} | told


def test_large_page_size_is_cut_and_the_default_is_fifty() -> None:
    me, session = caller(), stored(messages=501)
    assert len(me.get(me.messages(session)).json()["results"]) == 50
    assert len(me.get(me.messages(session), {"page_size": 10**6}).json()["results"]) == 500


@pytest.mark.parametrize("name", ["page_size", "after_seq", "before_seq"])
@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "\u0663", "9" * 5000, "\x00"])
def test_unreadable_number_is_named(name: str, value: str) -> None:
    me, session = caller(), stored()
    answer = me.get(me.messages(session), {name: value})
    assert (answer.status_code, answer.json()["field"]) == (400, name)


@pytest.mark.parametrize("message_id", ["*the: id\u20ac", "1", "123", "a/b ü", "..", "x" * 512])
def test_one_message_by_position_and_by_id(message_id: str) -> None:
    """They have addresses of their own: an id may look like the position of another message."""
    me, session = caller(), stored(messages=2)
    conversation("k", "acme").append(Message.user("named", id=message_id))
    by_seq = me.get(f"{me.messages(session)}3/")
    by_id = me.get(me.messages(session), {"id": message_id})
    assert by_seq.json()["content"] == "named"
    assert by_id.json() == {"results": [by_seq.json()], "next": None, "previous": None}
    assert by_id["ETag"] == by_seq["ETag"]
    assert me.get(f"{me.messages(session)}1/").json()["content"] == "1"


@pytest.mark.parametrize("name", ["0", "2", "-1", "01", "1.0", "x", "\u0661", "9" * 30, "1 "])
def test_what_is_no_position_is_not_found(name: str) -> None:
    me, session = caller(), stored(messages=1)
    assert me.get(f"{me.messages(session)}{name}/").status_code == 404


def test_unknown_and_cleared_ids_are_an_empty_list() -> None:
    me, session = caller(), stored()
    conversation("other", "acme").append(Message.user("x", id="theirs"))
    conversation("k", "acme").append(Message.user("x", id="mine"))
    conversation("k", "acme").clear()
    for message_id in ("theirs", "mine", "nobody's"):
        assert me.get(me.messages(session), {"id": message_id}).json()["results"] == []


@pytest.mark.parametrize("query", [{"id": ""}, {"id": "\x00"}, {"id": "x" * 513}, {"id": "x", "after_seq": 1}])
def test_unusable_id_is_refused(query) -> None:
    me, session = caller(), stored()
    answer = me.get(me.messages(session), query)
    assert (answer.status_code, answer.json()["field"]) == (400, "id")


@override_settings(CHAT_MEMORY={"CACHE": "off"})
@pytest.mark.django_db(transaction=True)
def test_hot_paths_take_two_queries(django_assert_num_queries) -> None:
    """Membership and session in one, then the statement itself; an unchanged history takes one."""
    me, session = caller("admin"), stored(messages=3)
    with django_assert_num_queries(2):
        answer = me.get(me.messages(session))
    with django_assert_num_queries(1):
        assert me.get(me.messages(session), **{"If-None-Match": answer["ETag"]}).status_code == 304
    with django_assert_num_queries(2):
        assert me.get(me.session(session)).status_code == 200
    with django_assert_num_queries(2):
        assert me.get(f"{me.messages(session)}2/").status_code == 200
    with django_assert_num_queries(3):
        assert me.get(me.messages(session), {"id": answer.json()["results"][0]["id"]}).status_code == 200
    with django_assert_num_queries(2):
        assert me.get(me.sessions).status_code == 200
    with django_assert_num_queries(1):
        assert me.get("/api/workspaces/").status_code == 200


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("said", [{"role": "user", "content": "x"}, [{"role": "user", "content": "x"}] * 3])
def test_append_takes_two_queries_even_under_atomic_requests(said, django_assert_num_queries, monkeypatch) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    me, session = caller(), stored(messages=1)
    with django_assert_num_queries(2) as captured:
        assert me.post(me.messages(session), said).status_code == 201
    assert all("workspace_id" in query["sql"] for query in captured.captured_queries)


@pytest.mark.django_db(transaction=True)
def test_writers_at_once_lose_nothing() -> None:
    """Every request on a connection of its own: dense positions, each message once although each is sent twice."""
    me, session = caller(), stored()

    def write(number: int) -> int:
        try:
            said = [{"role": "user", "content": f"{number}.{part}"} for part in range(2)]
            return int(me.post(me.messages(session), said, **{"Idempotency-Key": str(number)}).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(write, [*range(10), *range(10)]))
    assert sorted(codes) == [200] * 10 + [201] * 10
    kept = conversation("k", "acme").messages()
    assert [message.seq for message in kept] == list(range(1, 21))
    assert [str(message.content)[-2:] for message in kept] == [".0", ".1"] * 10
