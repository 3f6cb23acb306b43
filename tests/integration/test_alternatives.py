"""Another answer, another question, and the alternatives to a message, over both back ends."""

from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from chat_memory import Conversation, Message, MessageConflict, MessageNotFound, Receipt, ValidationError, signals
from tests.conversations import all_contents, chat, say_with_ids

pytestmark = pytest.mark.django_db(transaction=True)


def question_answered(to: Conversation) -> None:
    to.append(Message.user("q", id="q"), Message.assistant("first", id="first"))


def alternatives(of: Conversation, seq: int) -> list[tuple[str, str, bool]]:
    return [(each.id, each.position, each.is_current) for each in of.siblings(seq)]


def test_the_former_answer_stays_current_until_the_new_one_has_begun(chats) -> None:
    question_answered(chats())
    new = chats().regenerate(2)
    assert all_contents(chats()) == ["q", "first"]
    receipt = new.append(Message.assistant("second", id="second"))
    assert (receipt.branch, receipt.former_branch) == (new.branch, "main")
    assert all_contents(chats()) == ["q", "second"]
    assert chats().session().branch == new.branch
    assert receipt.version == chats().session().version
    again = new.append(Message.assistant("more"))
    assert (again.branch, again.former_branch) == (new.branch, None)
    chats().switch(receipt.former_branch)
    assert all_contents(chats()) == ["q", "first"]


def test_a_second_click_finds_the_first(chats) -> None:
    question_answered(chats())
    first, second = chats().regenerate(2), chats().regenerate(1)
    assert first.branch == second.branch
    (pending,) = [branch for branch in chats().branches() if branch.pending]
    assert (pending.name, pending.current) == (first.branch, False)
    first.append(Message.assistant("second"))
    assert not [branch for branch in chats().branches() if branch.pending]
    assert chats(branch="main").regenerate(2).branch != first.branch


def test_a_message_is_meant_by_its_position_or_its_id(chats) -> None:
    question_answered(chats())
    first = chats().regenerate("first")
    assert chats().regenerate("q").branch == chats().regenerate(2).branch == first.branch
    first.append(Message.assistant("second", id="second"))
    assert chats().siblings("second") == chats().siblings(2)
    assert [each.id for each in chats().siblings("second")] == ["first", "second"]
    assert chats().siblings("unknown") == chats().siblings("\x00") == chats().siblings("first") == []
    for unknown in ("unknown", "\x00", "first"):
        with pytest.raises(MessageNotFound):
            chats().regenerate(unknown)
    with pytest.raises(ValidationError, match=r"at: must be a whole number from 0, not 1\.5"):
        chats().regenerate(1.5)


def test_until_complete_the_caller_switches(chats) -> None:
    question_answered(chats())
    new = chats().regenerate(2, until="complete")
    assert new.append(Message.assistant("second")).former_branch is None
    assert chats().regenerate(2).branch == new.branch
    assert all_contents(chats()) == ["q", "first"]
    chats().switch(new.branch)
    assert all_contents(chats()) == ["q", "second"]
    with override_settings(CHAT_MEMORY={"REGENERATE_UNTIL": "complete"}):
        other = chats(branch="main").regenerate(2)
        assert other.append(Message.assistant("third")).former_branch is None
    with pytest.raises(ValidationError, match="until: must be begun or complete"):
        chats().regenerate(2, until="later")


def test_a_switch_at_once_shows_the_new_branch_without_an_answer(chats) -> None:
    question_answered(chats())
    chats().regenerate(2, switch=True)
    assert all_contents(chats()) == ["q"]


def test_a_question_is_asked_again_in_other_words(chats) -> None:
    question_answered(chats())
    receipt = chats().edit_and_branch(1, "other", message_id="other")
    assert (all_contents(chats()), receipt.former_branch) == (["other"], "main")
    assert chats().siblings(1)[0].branch == "main"
    assert alternatives(chats(), 1) == [("q", "1 of 2", False), ("other", "2 of 2", True)]
    again = chats().edit_and_branch("q", "other", message_id="other")
    assert (again.replayed, again.branch) == (True, receipt.branch)
    chats().switch("main")
    back = chats().edit_and_branch(1, "other", message_id="other")
    assert (back.replayed, back.branch, back.former_branch) == (True, receipt.branch, "main")
    with pytest.raises(MessageConflict):
        chats().edit_and_branch(1, "yet another", message_id="other")


def test_a_double_click_on_edit_makes_one_branch(chats) -> None:
    """The second call comes after the first has made the branch, and before the message is there."""
    question_answered(chats())
    others: list[Receipt] = []

    def click(**_told: Any) -> None:
        signals.branch_forked.disconnect(click)
        others.append(chats().edit_and_branch("q", "other", message_id="other"))

    signals.branch_forked.connect(click)
    first = chats().edit_and_branch("q", "other", message_id="other")
    (second,) = others
    assert (first.branch, first.former_branch, first.replayed) == (second.branch, "main", True)
    assert (second.former_branch, second.replayed) == ("main", False)
    assert alternatives(chats(), 1) == [("q", "1 of 2", False), ("other", "2 of 2", True)]


@pytest.mark.parametrize("texts", [[], ["something else"]])
def test_a_question_that_was_taken_off_is_asked_again_on_a_new_branch(chats, texts: list[str]) -> None:
    question_answered(chats())
    first = chats().edit_and_branch("q", "other", message_id="other")
    assert chats().pop().id == "other"
    chats().append(*map(Message.user, texts))
    chats().switch("main")
    again = chats().edit_and_branch("q", "other", message_id="other")
    assert (again.branch != first.branch, again.former_branch, all_contents(chats())) == (True, "main", ["other"])


@pytest.mark.parametrize(
    ("error", "place", "content"),
    [
        (ValidationError, 2, "x"),
        (ValidationError, 1, "\x00"),
        (MessageNotFound, 3, "x"),
        (MessageNotFound, "unknown", "x"),
    ],
)
def test_what_cannot_be_asked_again_leaves_no_branch(chats, error: type[Exception], place: Any, content: str) -> None:
    question_answered(chats())
    with pytest.raises(error):
        chats().edit_and_branch(place, content)
    assert len(chats().branches()) == 1


def test_alternatives_are_those_that_follow_the_same_messages(chats) -> None:
    question_answered(chats())
    for text in ("second", "third"):
        chats().regenerate(2).append(Message.assistant(text, id=text))
    assert alternatives(chats(), 2) == [
        ("first", "1 of 3", False),
        ("second", "2 of 3", False),
        ("third", "3 of 3", True),
    ]
    say_with_ids("deep", to=chats().fork("deeper"))
    assert alternatives(chats(branch="deeper"), 2)[2] == ("third", "3 of 3", True)
    assert alternatives(chats(branch="deeper"), 1) == [("q", "1 of 1", True)]
    assert alternatives(chats(branch="deeper"), 3) == [("deep", "1 of 1", True)]
    assert (chats().siblings(0), chats().siblings(9), chats("unknown").siblings(1)) == ([], [], [])
    names = [each.branch for each in chats().siblings(2)]
    chats().switch(names[1])
    assert all_contents(chats()) == ["q", "second"]
    chats().clear()
    assert chats().siblings(2) == []


def test_the_alternatives_on_forty_branches_are_one_statement() -> None:
    question_answered(chat())
    for number in range(40):
        chat().regenerate(2).append(Message.assistant(f"answer {number}"))
    with override_settings(CHAT_MEMORY={"CACHE": "off"}), CaptureQueriesContext(connection) as captured:
        found = chat().siblings(2)
    assert (len(captured), len(found), found[40].position, found[40].is_current) == (1, 41, "41 of 41", True)
