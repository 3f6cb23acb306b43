"""Drafts over HTTP: a client that comes back follows an answer that grows, and has it stop."""

from typing import Any
from urllib.parse import urlencode

import pytest

from chat_memory import Message, conversation
from chat_memory.history.streaming import Streaming
from chat_memory.models import Draft, Session
from tests.acceptance.api_support import Caller, caller, stored

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.acceptance.api_urls")]


def streaming_to(session: Session, text: str = "Hello wörld", **options: Any) -> Streaming:
    """A stream to a session that goes on."""
    stream = conversation(session.key, session.workspace.slug).streaming(id="a", **options)
    stream.__enter__()
    stream.write(text)
    stream.flush()
    return stream


def drafts_of(me: Caller, session: Session, rest: str = "") -> str:
    return f"{me.session(session)}drafts/{rest}"


def test_a_client_follows_a_draft_to_its_end() -> None:
    me, session = caller(), stored(messages=1)
    stream = streaming_to(session, name="Bot", metadata={"secret": 1})
    (listed,) = me.get(drafts_of(me, session)).json()["results"]
    assert (listed["id"], listed["state"], listed["length"], listed["stop_asked"]) == ("a", "streaming", 11, False)
    assert not {"text", "metadata", "number"} & listed.keys()
    seen = me.get(drafts_of(me, session, "a/")).json()
    assert (seen["text"], seen["name"], seen["role"], seen["branch"], seen["seq"]) == (
        "Hello wörld",
        "Bot",
        "assistant",
        "main",
        None,
    )
    stream.write("!")
    stream.finish()
    after = me.get(drafts_of(me, session, f"a/?after={seen['length']}")).json()
    assert (after["text"], after["length"], after["state"], after["seq"]) == ("!", 12, "complete", 2)
    assert me.get(drafts_of(me, session)).json() == {"results": [], "next": None, "previous": None}
    assert (after["branch"], after["turn"]) == ("main", 1)
    (message,) = me.get(f"{me.messages(session)}?after_seq=1").json()["results"]
    assert (message["state"], message["content"]) == ("complete", "Hello wörld!")


def test_a_draft_says_which_turn_it_answers_in_and_on_which_branch_it_is() -> None:
    me, session = caller(), stored()
    chat = conversation(session.key, session.workspace.slug)
    chat.append(Message.user("first", id="q1"), Message.user("second", id="q2"))
    with chat.fork("other").turn("q2") as turn, turn.stream() as stream:
        stream.flush()
        (listed,) = me.get(drafts_of(me, session)).json()["results"]
        assert (listed["turn"], listed["branch"]) == (2, "other")
    after = me.get(drafts_of(me, session, f"{stream.id}/?branch=other")).json()
    assert (after["state"], after["turn"], after["branch"]) == ("complete", 2, "other")
    chat.switch("other")
    assert me.get(drafts_of(me, session, f"{stream.id}/")).json()["branch"] == "other"


def test_a_draft_moves_no_entity_tag() -> None:
    me, session = caller(), stored(messages=1)
    tag = me.get(me.session(session))["ETag"]
    stream = streaming_to(session)
    assert me.get(me.session(session), **{"If-None-Match": tag}).status_code == 304
    stream.finish()
    assert me.get(me.session(session), **{"If-None-Match": tag}).status_code == 200


def test_a_stop_by_the_api_reaches_the_writer() -> None:
    me, session = caller("writer"), stored(messages=1)
    with conversation(session.key, session.workspace.slug).streaming(id="a") as stream:
        answer = me.post(drafts_of(me, session, "a/stop/"), {})
        assert (answer.status_code, answer.json()["stop_asked"], answer.json()["state"]) == (200, True, "streaming")
        assert "text" not in answer.json()
        stream.flush()
        assert stream.stopped
    again = me.post(drafts_of(me, session, "a/stop/"), {})
    assert (again.status_code, again.json()["state"]) == (200, "stopped")
    (message,) = me.get(f"{me.messages(session)}?after_seq=1").json()["results"]
    assert message["state"] == "stopped"


def test_a_draft_names_the_turn_that_it_answers_in() -> None:
    me, session = caller(), stored(messages=1)
    chat = conversation(session.key, "acme")
    with chat.turn(Message.user("q", id="q")) as turn, turn.stream() as stream:
        stream.write("Hel")
        chat.append(Message.user("asked meanwhile"))
        (listed,) = me.get(drafts_of(me, session)).json()["results"]
        seen = me.get(f"{me.session(session)}draft/", {"id": listed["id"]}).json()
    assert (listed["turn"], seen["turn"]) == (2, 2)
    after = me.get(f"{me.session(session)}draft/", {"id": listed["id"]}).json()
    assert (after["state"], after["turn"], after["seq"], after["text"]) == ("complete", 2, 4, "Hel")


@pytest.mark.parametrize("ident", ["a/b", "/", "..", ".", "a/stop", "stop", "a b?c#d&e=f%2F", "é;ß", "x" * 512])
def test_an_id_of_any_characters_finds_its_draft_and_stops_it(ident: str) -> None:
    me, session = caller("writer"), stored(messages=1)
    address = f"{me.session(session)}draft/"
    with conversation(session.key, "acme").streaming(id=ident) as stream:
        stream.write("Hello")
        stream.flush()
        seen = me.get(address, {"id": ident, "after": 4}).json()
        assert (seen["id"], seen["text"], seen["branch"]) == (ident, "o", "main")
        asked = me.post(f"{address}stop/?{urlencode({'id': ident})}", {})
        assert (asked.status_code, asked.json()["stop_asked"]) == (200, True)
        stream.flush()
        assert stream.stopped
    ended = me.get(address, {"id": ident}).json()
    assert (ended["state"], ended["branch"], ended["seq"]) == ("stopped", "main", 2)


def test_an_id_that_is_not_there_is_not_found_and_one_is_needed() -> None:
    me, session = caller("admin"), stored(messages=1)
    streaming_to(session)
    address = f"{me.session(session)}draft/"
    assert [me.get(address, {"id": ident}).status_code for ident in ("b", "", "a\x00")] == [404, 404, 404]
    assert me.post(f"{address}stop/?id=b", {}).status_code == 404
    for query in ("", "?id=a&id=b", "?id=a&after=-1", "?ident=a"):
        assert me.get(f"{address}{query}").status_code == 400
    assert me.post(f"{address}stop/?id=a&after=1", {}).status_code == 400


@pytest.mark.parametrize(
    ("role", "own", "reads", "stops"),
    [
        ("member", True, 200, 200),
        ("member", False, 404, 404),
        ("reader", False, 200, 403),
        ("writer", False, 200, 200),
        ("admin", False, 200, 200),
        (None, True, 404, 404),
    ],
)
def test_who_follows_and_who_stops(role: str | None, own: bool, reads: int, stops: int) -> None:
    me = caller(role)
    session = stored(user=me.user if own else caller("member").user, messages=1)
    streaming_to(session)
    by_id = f"{me.session(session)}draft/"
    for address in (drafts_of(me, session), drafts_of(me, session, "a/"), f"{by_id}?id=a"):
        assert me.get(address).status_code == reads
    for address in (drafts_of(me, session, "a/stop/"), f"{by_id}stop/?id=a"):
        Draft.objects.update(stop_asked=False)
        assert me.post(address, {}).status_code == stops
        assert Draft.objects.get().stop_asked is (stops == 200)


def test_what_is_not_there_answers_404_and_what_cannot_be_read_400() -> None:
    me, session, other = caller("admin"), stored(messages=1), stored("other", messages=1)
    streaming_to(session)
    for rest in ("b/", "A/", "a%00/"):
        assert me.get(drafts_of(me, session, rest)).status_code == 404
        assert me.post(drafts_of(me, session, f"{rest}stop/"), {}).status_code == 404
    assert me.get(drafts_of(me, other, "a/")).status_code == 404
    for query in ("after=-1", "after=x", "size=1"):
        assert me.get(drafts_of(me, session, f"a/?{query}")).status_code == 400
    assert me.get(drafts_of(me, session, "?page_size=1")).status_code == 400
    assert me.get(drafts_of(me, session, f"a/?after={10**17}")).json()["text"] == ""
    assert me.client.put(drafts_of(me, session, "a/")).status_code == 405


def test_a_reader_finds_what_was_abandoned() -> None:
    me, session = caller("reader"), stored(messages=1)
    streaming_to(session)
    Draft.objects.update(touched=1_000)
    seen = me.get(drafts_of(me, session, "a/")).json()
    assert (seen["state"], seen["text"], seen["seq"]) == ("abandoned", "Hello wörld", 2)
    (message,) = me.get(f"{me.messages(session)}?after_seq=1").json()["results"]
    assert message["state"] == "abandoned"


def test_the_message_of_a_draft_is_looked_for_on_the_branch_that_is_named() -> None:
    me, session = caller("admin"), stored(messages=1)
    chat = conversation(session.key, "acme")
    chat.fork("b", at=1).append(Message.assistant("on b", id="x"))
    assert me.get(drafts_of(me, session, "x/")).status_code == 404
    assert me.get(drafts_of(me, session, "x/?branch=b")).json()["text"] == "on b"


def test_no_client_sets_a_state() -> None:
    me, session = caller("admin"), stored()
    sent = me.post(me.messages(session), {"role": "assistant", "content": "x", "state": "abandoned"})
    assert (sent.status_code, sent.json()["state"]) == (201, "complete")
