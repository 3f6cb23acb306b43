"""Every answer of the API is bounded in bytes, whatever is stored, and what does not fit is found by its links."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings as hypothesis_settings, strategies as st

from chat_memory import Message, conversation
from chat_memory.api.resources.context import LARGEST_CONTEXT
from chat_memory.conf import settings
from chat_memory.models import Session
from chat_memory.testing.providers import check_anthropic
from tests.acceptance.api_support import Caller, caller, stored
from tests.conversations import chat
from tests.histories import calling

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.acceptance.api_urls"),
]

MOST = 4_096
"""MAX_ANSWER_BYTES of these tests."""
ENVELOPE = 600
"""Bytes of a page beside its results: the two links."""
ROW = 400
"""Bytes of a message's JSON beside its content."""
MODES = ["off", "strict", "bounded"]
texts = st.one_of(
    st.integers(0, 60).map(lambda size: "x" * size),
    st.integers(500, 5_000).map(lambda size: "y" * size),
    st.integers(100, 900).map(lambda size: "\x01" * size),  # six bytes each in JSON
    st.integers(100, 900).map(lambda size: "\U0001f600" * size),
)


def small_answers(mode: str, most: int = MOST, **more: Any) -> Any:
    """The settings of a page that ends at few bytes."""
    return override_settings(CHAT_MEMORY={"CACHE": mode, "CACHE_MAX_AGE": 60, "MAX_ANSWER_BYTES": most, **more})


def walked(me: Caller, address: str, query: dict[str, Any], link: str) -> Iterator[list[Any]]:
    """The results of a page and of all that its links lead to in one direction; no page is larger than promised."""
    answer = me.get(address, query)
    while True:
        page = answer.json()
        yield page["results"]
        if len(page["results"]) > 1:
            assert len(answer.content) <= settings.max_answer_bytes + ENVELOPE
        if page[link] is None:
            return
        answer = me.get(page[link])


def seqs_of(pages: list[list[Any]]) -> list[int]:
    return [message["seq"] for page in pages for message in page]


def session_of_texts(contents: list[str], *, fork_at: int | None) -> tuple[Session, dict[str, str]]:
    """A session that says these texts, on ``main`` or partly on a branch, and the query that reads it."""
    session = stored()
    own = contents if fork_at is None else contents[:fork_at]
    conversation("k", "acme").append(*map(Message.user, own))
    if fork_at is None:
        return session, {}
    draft = conversation("k", "acme").fork("draft")
    draft.append(*map(Message.user, contents[fork_at:]))
    return session, {"branch": "draft"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("branched", [False, True])
@hypothesis_settings(max_examples=15, deadline=None)
@given(contents=st.lists(texts, min_size=2, max_size=30), size=st.sampled_from([3, 50, 500]))
def test_c2_pages_by_bytes_are_exactly_the_history(mode: str, branched: bool, contents: list[str], size: int) -> None:
    """C2: forwards and backwards, cached and not, on main and on a branch: nothing skipped, nothing twice."""
    with small_answers(mode):
        me = caller("admin")
        session, query = session_of_texts(contents, fork_at=len(contents) // 2 if branched else None)
        try:
            expected = list(range(1, len(contents) + 1))
            address = me.messages(session)
            for _ in range(2):  # the second time from a warm cache
                forwards = list(walked(me, address, {**query, "page_size": size, "after_seq": 0}, "next"))
                assert seqs_of(forwards) == expected
                assert [message["content"] for page in forwards for message in page] == contents
                backwards = list(walked(me, address, {**query, "page_size": size}, "previous"))
                assert seqs_of(backwards[::-1]) == expected
        finally:
            conversation("k", "acme").delete()


@pytest.mark.parametrize("branched", [False, True])
def test_c5_pages_of_sessions_end_by_bytes(branched: bool) -> None:
    """C5: sessions with large metadata, in both directions; each is found once."""
    me = caller("admin")
    weights = [0, 3_000, 900, 900, 2_500, 10, 5_000, 10, 10, 4_000, 100]
    for number, weight in enumerate(weights):
        stored(f"k{number}", messages=1)
        chat = conversation(f"k{number}", "acme")
        chat.update(metadata={"text": "m" * weight, "\x01" * (weight // 10): 1})
        if branched:
            chat.fork("draft")
            chat.switch("draft")
    with small_answers("off"):
        forwards = list(walked(me, me.sessions, {"page_size": 500}, "next"))
        expected = [f"k{number}" for number in reversed(range(len(weights)))]
        assert [session["key"] for page in forwards for session in page] == expected
        assert len(forwards) > 3
        last = me.get(me.sessions, {"page_size": 1, "since": "2000-01-01T00:00:00Z"}).json()
        while last["next"]:
            last = me.get(last["next"]).json()
        back = list(walked(me, last["previous"].replace("page_size=1", "page_size=500"), {}, "previous"))
        assert [session["key"] for page in reversed(back) for session in page] == expected[:-1]


def test_a_list_takes_no_more_tags_than_a_session_has() -> None:
    me = caller("admin")
    assert me.get(me.sessions, {"tag": ["a"] * 100}).status_code == 200
    answer = me.get(me.sessions, {"tag": ["a"] * 101})
    assert (answer.status_code, answer.json()["field"]) == (400, "tag")


@pytest.mark.parametrize("branched", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_c4_one_turn_without_end_is_shown_as_far_as_it_fits(mode: str, branched: bool) -> None:
    """C4: by number; the question, the opening system messages and the newest messages come, and a member says so."""
    me, session = caller("reader"), stored()
    chat().append(Message.system("rules"), Message.user("the question"))
    if branched:
        chat().fork("draft")
        chat().switch("draft")
    chat().append(*(Message.assistant(f"a{number}") for number in range(3_000)))
    for query in ({"turns": 1}, {"turns": 9}, {"tokens": 1_000_000}, {"messages": 500}):
        with small_answers(mode, most=1_000_000):
            answer = me.get(f"{me.session(session)}context/", query).json()
        shown = [message["content"] for message in answer["results"]]
        assert shown[:2] == ["rules", "the question"]
        expected = 2_000 if "messages" not in query else 501
        assert (len(shown), answer.get("truncated")) == (expected, True if expected == 2_000 else None)
        assert shown[2:] == [f"a{number}" for number in range(3_000 - len(shown) + 2, 3_000)]


@pytest.mark.parametrize(("branched", "sign"), [(False, "x"), (True, "\x01"), (False, "\U0001f600")])
@pytest.mark.parametrize("mode", MODES)
def test_c4_a_context_of_large_messages_ends_by_bytes(mode: str, branched: bool, sign: str) -> None:
    """C4: what comes are whole turns, and what was left out is found by the position of what came."""
    me, session = caller("reader"), stored()
    for number in range(40):
        if branched and number == 20:
            chat().fork("draft")
            chat().switch("draft")
        result = Message.tool(sign * 300, tool_call_id=f"c{number}")
        chat().append(Message.user(f"q{number}"), calling(f"c{number}"), result, Message.assistant("done"))
    for query in ({"turns": 500}, {"tokens": 1_000_000}, {"messages": 500}):
        with small_answers(mode, most=20_000):
            got = me.get(f"{me.session(session)}context/", query)
            answer = got.json()
            assert len(got.content) <= 20_000 + ENVELOPE
            assert answer["truncated"] is True
            shown = answer["results"]
            assert [message["role"] for message in shown] == ["user", "assistant", "tool", "assistant"] * (
                len(shown) // 4
            )
            assert shown[-1]["seq"] == 160
            older = list(
                walked(me, me.messages(session), {"before_seq": shown[0]["seq"], "page_size": 500}, "previous")
            )
            assert sorted(seqs_of(older)) == list(range(1, shown[0]["seq"]))


@pytest.mark.parametrize("mode", MODES)
def test_c4_the_newest_question_comes_however_large_it_is(mode: str) -> None:
    me, session = caller("reader"), stored()
    chat().append(*(Message.system("s" * 500) for _ in range(50)), Message.user("first"), Message.assistant("a"))
    chat().append(Message.user("q" * 30_000), *(Message.assistant("b" * 3_000) for _ in range(9)))
    with small_answers(mode):
        for query in ({"turns": 1}, {"turns": 5}, {"messages": 3}, {"tokens": 100_000}):
            answer = me.get(f"{me.session(session)}context/", query).json()
            assert [message["content"] for message in answer["results"] if message["role"] == "user"] == ["q" * 30_000]
            system = [message for message in answer["results"] if message["role"] == "system"]
            assert 1 <= len(system) <= MOST // 2 // 500
            assert answer["truncated"] is True


def test_c4_a_context_that_fits_does_not_say_otherwise() -> None:
    me, session = caller("reader"), stored(messages=6)
    with small_answers("off"):
        answer = me.get(f"{me.session(session)}context/", {"turns": 3}).json()
    assert (len(answer["results"]), "truncated" in answer) == (3, False)


@pytest.mark.parametrize("mode", MODES)
def test_e6_a_client_that_has_seen_more_than_there_is_is_told(mode: str) -> None:
    """E6: after a restore of an older dump, or a pop, ``last_seq`` says where the session ends now."""
    me, session = caller("reader"), stored(messages=5)
    with small_answers(mode):
        told = me.get(me.messages(session), {"after_seq": 8})
        assert (told.status_code, told.json()["results"], told.json()["last_seq"]) == (200, [], 5)
        for query in ({"after_seq": 5}, {"after_seq": 4}, {}, {"before_seq": 9}, {"id": "nobody's"}):
            assert "last_seq" not in me.get(me.messages(session), query).json()
        chat().pop()
        assert me.get(me.messages(session), {"after_seq": 5}).json()["last_seq"] == 4
        between = me.get(me.messages(session), {"after_seq": 7, "before_seq": 9}).json()
        assert (between["results"], between["last_seq"]) == ([], 4)


def test_c16_a_message_has_no_more_parts_than_max_parts() -> None:
    me, session = caller("writer", may_send_tool=True), stored()
    post = me.messages(session)
    text = {"type": "text", "text": ""}
    with override_settings(CHAT_MEMORY={"MAX_PARTS": 10}):
        assert me.post(post, {"role": "user", "content": [text] * 10}).status_code == 201
        for name, body in {
            "content": {"role": "user", "content": [text] * 11},
            "tool_calls": {"role": "assistant", "content": None, "tool_calls": [{}] * 11},
        }.items():
            answer = me.post(post, body)
            assert (answer.status_code, answer.json()["field"]) == (413, name)
        nested = [{"type": "tool_result", "tool_use_id": "c", "content": [text] * 10}]
        assert me.post(post, {"role": "user", "content": nested}).status_code == 413


def posted_fork(me: Caller, session: Any, **body: Any) -> Any:
    return me.post(f"{me.session(session)}fork/", body)


def test_c6_branches_are_listed_in_pages() -> None:
    """C6: each once, in both directions, and no more rows are read than a page has."""
    me, session = caller("reader"), stored(messages=2)
    names = [f"b{number}" for number in range(7)]
    for name in names:
        chat().fork(name)
    page = me.get(f"{me.session(session)}branches/", {"page_size": 3}).json()
    pages = [page]
    while page["next"]:
        page = me.get(page["next"]).json()
        pages.append(page)
    assert [[branch["name"] for branch in each["results"]] for each in pages] == [
        ["main", "b0", "b1"],
        ["b2", "b3", "b4"],
        ["b5", "b6"],
    ]
    back = [page]
    while page["previous"]:
        page = me.get(page["previous"]).json()
        back.append(page)
    assert back[::-1][0]["results"] == pages[0]["results"]
    assert [each["results"] for each in reversed(back)] == [each["results"] for each in pages]
    for cursor in ("next.x", "next.", "previous.-1", "next.1.2"):
        assert me.get(f"{me.session(session)}branches/", {"cursor": cursor}).status_code == 400


def test_c6_a_session_has_no_more_branches_than_max_branches() -> None:
    me, session = caller(), stored(messages=1)
    with override_settings(CHAT_MEMORY={"MAX_BRANCHES": 3}):
        assert [posted_fork(me, session, name=name).status_code for name in "abcd"] == [201, 201, 409, 409]
        refused = posted_fork(me, session, name="e").json()
        assert (refused["code"], "MAX_BRANCHES" in refused["detail"]) == ("too_many_branches", True)
        assert posted_fork(me, session, name="a").json()["code"] == "branch_exists"
        chat(branch="a").delete()
        assert posted_fork(me, session, name="f").status_code == 201
    assert Session.objects.count() == 3


def test_c6_a_fork_costs_the_same_beside_many_branches() -> None:
    """C6: its statements are as many, and each is found by a name or a key, not among all branches."""
    me, session = caller(), stored(messages=1)
    costs: list[int] = []
    texts: list[str] = []
    for number in range(25):
        with CaptureQueriesContext(connection) as captured:
            assert posted_fork(me, session, name=f"b{number}").status_code == 201
        costs.append(len(captured))
        texts = [query["sql"] for query in captured.captured_queries]
    assert len({*costs[1:]}) == 1
    assert not [text for text in texts if "ORDER BY" in text and "LIMIT" not in text and "branch_number" in text]


@pytest.mark.parametrize(("calls", "size"), [(40, 100_000), (1_200, 0)])
def test_c4_results_in_one_message_are_not_multiplied(calls: int, size: int) -> None:
    """C4: one message with the results of many messages' calls is shown as many, and its further members once."""
    me = caller("member", may_send_tool=True)
    session = stored("mine", user=me.user)
    results = [{"type": "tool_result", "tool_use_id": f"c{number}", "content": "x"} for number in range(calls)]
    uses = [{"type": "tool_use", "id": f"c{number}", "name": "f", "input": {}} for number in range(calls)]
    said: list[Any] = [{"role": "user", "content": "q"}, *({"role": "assistant", "content": [use]} for use in uses)]
    said.append({"role": "user", "content": results, "n": "y" * size, "metadata": {"m": 1}})
    assert me.post(me.messages(session), said).status_code == 201
    with small_answers("off", 1024 * 1024):
        answer = me.get(f"{me.session(session)}context/", {"turns": 1})
    shown = answer.json()
    assert len(answer.content) < 1024 * 1024 + ENVELOPE
    assert len(shown["results"]) <= LARGEST_CONTEXT
    assert sum("n" in message for message in shown["results"]) <= 1
    assert shown.get("truncated", False) == (calls == 1_200)
    check_anthropic([{"role": message["role"], "content": message["content"]} for message in shown["results"]])


def bare(bodies: list[dict[str, Any]], members: int | None = None) -> list[dict[str, Any]]:
    """A retry of these messages that leaves out all but what it must repeat."""
    return [{name: body[name] for name in ("id", "role", "content")} for body in bodies[:members]]


@pytest.mark.parametrize("member", ["extra", "metadata"])
@pytest.mark.parametrize(("branched", "sign"), [(False, "x"), (True, "x"), (False, "\x01"), (True, "\U0001f600")])
def test_c2_a_replay_answers_no_more_than_its_body_and_an_answer(member: str, branched: bool, sign: str) -> None:
    """C2: a retry that leaves out what is stored; one message, a few and a retry in full are answered as ever."""
    me, session = caller("writer"), stored()
    further = {"note": sign * 600}
    bodies: list[dict[str, Any]] = [
        {"id": f"m{number}", "role": "user", "content": "q"} | (further if member == "extra" else {"metadata": further})
        for number in range(30)
    ]
    with small_answers("off"):
        post = me.messages(session)
        first = me.post(post, bodies)
        assert first.status_code == 201
        if branched:
            chat().fork("draft")
            chat().switch("draft")
        replays: list[Any] = []
        for retry, expected in ((bodies, 200), (bare(bodies), 413), (bare(bodies, 1), 200), (bare(bodies)[0], 200)):
            answer = me.post(post, retry)
            assert answer.status_code == expected
            replays.append(answer)
        # 1,200 signs fit, but not where each has several bytes, as it is stored or in JSON
        assert me.post(post, bare(bodies, 2)).status_code == (200 if sign == "x" else 413)
        full, refused, few, one = replays
        assert full.json() == first.json()
        assert (refused.json()["code"], refused.json()["field"]) == ("too_large", "messages")
        assert few.json() == [one.json()] == first.json()[:1]
        partly = me.post(post, [*bare(bodies), {"id": "new", "role": "user", "content": "q"}])
        assert (partly.status_code, partly.json()["field"]) == (413, "messages")
        assert chat().count() == 30
        assert all(len(answer.content) <= MOST for answer in (refused, partly, few, one))


def test_c2_many_short_messages_are_retried_at_once() -> None:
    """C2: the members that every message has are no reason to refuse a retry in full."""
    me, session = caller("writer"), stored()
    bodies = [{"id": f"m{number}", "role": "user", "content": "\x01" * (number % 50)} for number in range(200)]
    with small_answers("off"):
        answers = [me.post(me.messages(session), bodies) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 200]
        assert answers[0].content == answers[1].content
        mixed = me.post(me.messages(session), [*bodies, {"id": "new", "role": "user", "content": "q"}])
        assert (mixed.status_code, len(mixed.json())) == (201, 201)
    assert chat().count() == 201


def test_c2_fresh_messages_cost_no_statement_for_the_size_of_an_answer() -> None:
    """C2: what a retry may be answered is looked at only where something is stored: one statement more for a replay."""
    me, session = caller("writer"), stored()
    costs = []
    for ids in (["z"], ["a"], ["b", "c"], ["d", "e", "f"], ["a"], ["d", "e", "f"]):
        with CaptureQueriesContext(connection) as captured:
            me.post(me.messages(session), [{"id": each, "role": "user", "content": "q"} for each in ids])
        costs.append(len(captured))
    _first, alone, two, three, alone_again, three_again = costs
    assert alone == two == three
    assert three_again == alone_again + 1


def test_c2_a_refused_replay_loads_no_message() -> None:
    """C2: the lengths alone tell that it is too much."""
    me, session = caller("writer"), stored()
    bodies = [{"id": f"m{number}", "role": "user", "content": "q", "note": "x" * 3_000} for number in range(9)]
    loads = []
    with small_answers("off"):
        me.post(me.messages(session), bodies)
        for retry, expected in ((bare(bodies, 1), 200), (bare(bodies), 413)):
            with CaptureQueriesContext(connection) as captured:
                assert me.post(me.messages(session), retry).status_code == expected
            loads.append(sum('"chat_memory_message"."content"' in query["sql"] for query in captured))
    assert loads == [1, 0]
