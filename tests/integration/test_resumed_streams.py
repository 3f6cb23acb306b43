"""Partial messages that are gone on from or replaced, and what must not be."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from chat_memory import (
    DraftLost,
    Message,
    MessageNotFound,
    ValidationError,
    conversation,
)
from chat_memory.exceptions import TurnLost
from chat_memory.models import Draft
from chat_memory.storage.memory import MemoryAdapter
from tests.conversations import all_contents, chat, contents, say
from tests.integration.streams import GoneError, broken_off, end_leases, fail, played, states
from tests.readers import Reader

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_partial_text_is_gone_on_from() -> None:
    say("q")
    key = broken_off("So ", "far", metadata={"model": "m-1"})
    version = chat().session().version  # type: ignore[union-attr]
    with chat().streaming(resume=key, metadata={"tries": 2}) as stream:
        assert (stream.text, stream.id) == ("So far", key)
        stream.write(", so good")
        stream.flush()
        assert chat().drafts.get(key, after=6).text == ", so good"
        assert states()[-1] == ("So far", "failed")
    assert states() == [("q", "complete"), ("So far, so good", "complete")]
    message = chat().messages()[-1]
    assert (message.id, message.seq, message.metadata) == (key, 2, {"model": "m-1", "tries": 2})
    assert [each.content for each in chat().revisions(2)] == ["So far"]
    assert chat().session().version == version + 1  # type: ignore[union-attr]


def test_a_partial_text_is_replaced() -> None:
    say("q")
    key = broken_off("Wrong")
    with chat().streaming(replace=2) as stream:
        assert stream.text == ""
        stream.write("Right")
    assert (states()[-1], stream.id) == (("Right", "complete"), key)
    assert chat().count() == 2


@pytest.mark.parametrize("how", ["resume", "replace"])
def test_who_goes_on_and_fails_too_loses_nothing(how: str) -> None:
    key = broken_off("So far")
    broken_off(**{how: key})
    assert states() == [("So far", "failed")]
    broken_off(", so", **{how: key})
    assert states() == [("So far, so" if how == "resume" else ", so", "failed")]


@pytest.mark.parametrize("how", ["resume", "replace"])
def test_only_the_newest_partial_message_is_gone_on_from(how: str) -> None:
    key = broken_off("So far")
    chat().append(Message.user("and?", id="q"))
    for place, error in (
        (key, ValidationError),
        ("q", ValidationError),
        ("unknown", MessageNotFound),
        (9, MessageNotFound),
    ):
        options: dict[str, Any] = {how: place}
        with pytest.raises(error), chat().streaming(**options):
            pass
    assert Draft.objects.count() == 0
    assert states() == [("So far", "failed"), ("and?", "complete")]


@pytest.mark.parametrize("how", ["redact", "pop"])
def test_what_is_taken_away_is_not_gone_on_from(how: str) -> None:
    """The draft has the words of the message that it goes on from."""
    key = broken_off("SECRET")
    stream = chat().streaming(resume=key)
    take_away = partial(chat().redact, 1) if how == "redact" else chat().pop
    with pytest.raises(DraftLost):
        played(stream, take_away, partial(stream.write, " and more"), stream.flush)
    assert Draft.objects.count() == 0
    assert not any("SECRET" in str(content) for content in all_contents())


def test_a_redaction_of_what_was_streamed_reaches_those_who_follow() -> None:
    with chat().streaming(id="a") as stream:
        stream.write("SECRET")
    chat().redact("a")
    seen = chat().drafts.get("a")
    assert (seen.state, seen.text) == ("redacted", "")


def test_going_on_from_a_message_that_two_branches_share_is_seen_on_both() -> None:
    say("q")
    key = broken_off("So far")
    chat().fork("b")
    with chat(branch="b").streaming(resume=key) as stream:
        stream.write(", so good")
    assert all_contents(chat(branch="b")) == all_contents(chat(branch="main")) == ["q", "So far, so good"]


def shared_partial(where: str) -> Callable[..., Any]:
    """Handles on a conversation in a database or in memory whose branch ``b`` shares a partial message of ``main``."""
    adapter: dict[str, Any] = {"adapter": MemoryAdapter()} if where == "memory" else {}

    def at(branch: str = "b") -> Any:
        return conversation("k", "acme", branch=branch, **adapter)

    main = at("main")
    main.append(Message.user("q", id="q"))
    with pytest.raises(GoneError):
        played(stream := main.streaming(id="p"), partial(stream.write, "So far"), fail)
    main.fork("b")
    return at


@pytest.mark.parametrize("where", ["database", "memory"])
@pytest.mark.parametrize("how", ["resume", "replace"])
def test_a_shared_message_is_replaced_as_an_edit_changes_it(where: str, how: str) -> None:
    """By every branch, whatever else has become of the one that has it: readers, summaries, former texts, versions."""
    at = shared_partial(where)
    main, branch = at("main"), at()
    main.append(Message.user("q2"))
    branch.fork("c").append(Message.user("on c"))
    reader, versions = Reader(at("c")), [at(name).session().version for name in ("main", "b", "c")]
    reader.sync()
    main.summarize(lambda _messages: "of what was said", keep=1)
    options: dict[str, Any] = {how: "p"}
    with branch.streaming(**options) as stream:
        stream.write(", so good")
        stream.flush()
        (draft,) = main.drafts.entries()
        assert (draft.id, draft.branch) == ("p", "b")
    said = "So far, so good" if how == "resume" else ", so good"
    assert [contents(at(name).messages())[1] for name in ("main", "b", "c")] == [said] * 3
    assert [at(name).session().version for name in ("main", "b", "c")] == [version + 1 for version in versions]
    assert (main.summaries(), contents(main.revisions(2)), contents(reader.sync())) == (
        [],
        ["So far"],
        ["q", said, "on c"],
    )
    assert stream.message == branch.messages()[-1]


@pytest.mark.parametrize("where", ["database", "memory"])
def test_what_main_has_cleared_is_gone_on_from_where_it_is_shown(where: str) -> None:
    at = shared_partial(where)
    at("main").clear()
    with at().streaming(resume="p") as stream:
        stream.write(", so good")
    assert contents(at().messages()) == ["q", "So far, so good"]
    assert at("main").messages() == []


@pytest.mark.parametrize("where", ["database", "memory"])
def test_a_redaction_on_one_branch_takes_the_draft_of_another(where: str) -> None:
    at = shared_partial(where)
    stream = at().streaming(resume="p")
    with pytest.raises(DraftLost):
        played(stream, partial(at("main").redact, 2), stream.flush)
    assert at().drafts.entries() == []


@pytest.mark.parametrize("where", ["database", "memory"])
@pytest.mark.parametrize("how", ["resume", "replace"])
@pytest.mark.parametrize("flushes", [True, False])
def test_what_was_edited_meanwhile_is_not_overwritten(where: str, how: str, *, flushes: bool) -> None:
    """The draft has the words that the edit has taken away; a note beside them takes nothing from it."""
    at = shared_partial(where)
    options: dict[str, Any] = {how: "p"}
    stream = at().streaming(**options)
    edit = partial(at("main").edit, "p", "Corrected")
    with pytest.raises(DraftLost):
        played(stream, partial(stream.write, ", so good"), edit, *[stream.flush] * flushes)
    assert at().drafts.entries() == []
    assert [contents(at(name).messages()) for name in ("main", "b")] == [["q", "Corrected"]] * 2
    again = at().streaming(**options)
    played(again, partial(at("main").edit, "p", metadata={"seen": True}), partial(again.write, "!"))
    assert contents(at().messages()) == ["q", "Corrected!" if how == "resume" else "!"]


@pytest.mark.parametrize("where", ["database", "memory"])
@pytest.mark.parametrize("how", ["clear", "pop"])
def test_what_its_branch_does_not_show_any_more_leaves_no_draft(where: str, how: str) -> None:
    """Nor does it take the room of others for ever."""
    at = shared_partial(where)
    with pytest.raises(DraftLost), at().streaming(resume="p"):
        getattr(at(), how)()
    assert at().drafts.entries() == []
    assert Draft.objects.count() == 0
    assert contents(at("main").messages()) == ["q", "So far"]


def test_what_is_streamed_to_a_turn_in_place_of_a_shared_message_comes_behind_it() -> None:
    with chat().turn(Message.user("q", id="q")) as turn, pytest.raises(GoneError):
        played(stream := turn.stream(), partial(stream.write, "So far"), fail)
    branch = chat().fork("b")
    died = branch.turn("q").__enter__()
    lost = died.stream(resume=True)
    lost.__enter__()
    lost.write(", so")
    lost.flush()
    end_leases()
    with branch.turn("q") as again:
        assert contents(again.messages) == ["So far", ", so"]
        with again.stream(resume=True) as stream:
            stream.write(" good")
    assert all_contents(chat(branch="b")) == ["q", "So far", ", so good"]
    assert all_contents(chat(branch="main")) == ["q", "So far"]
    with pytest.raises((DraftLost, TurnLost)):
        lost.flush()


@pytest.mark.parametrize("where", ["database", "memory"])
def test_a_question_that_a_branch_has_taken_off_holds_no_turn(where: str) -> None:
    """The next question there gets its number."""
    at = shared_partial(where)
    branch = at()
    branch.pop()
    held = branch.turn("q", lease=60).__enter__()
    assert held.held
    branch.pop()
    branch.append(Message.user("other", id="other"))
    with branch.turn("other", taken="look") as turn:
        assert turn.held
