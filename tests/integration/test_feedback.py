"""Feedback on messages: ``chat.feedback`` and the sums of ``chat_memory.feedback``, over a real database."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, NotSupported, ValidationError, conversation, feedback, signals
from chat_memory.exceptions import MessageNotFound, NotOwner
from chat_memory.models import Feedback, Session
from chat_memory.records import Votes, VotesOfDay, VotesOfModel
from chat_memory.rules.feedback import COMMENT_LENGTH
from chat_memory.storage.redis import RedisAdapter
from tests.rollback import undone
from tests.ways_out import WAYS, WAYS_OF_A_WORKSPACE

pytestmark = pytest.mark.django_db(transaction=True)


def asked(key: str = "k", workspace: str = "acme", **options: Any) -> Any:
    """A conversation of a question and an answer that names its model."""
    chat = conversation(key, workspace, **options)
    chat.append(Message.user("q", id="q"), Message.assistant("a", id="a", extra={"model": "m-1"}))
    return chat


def test_a_user_gives_changes_and_removes_feedback() -> None:
    anna = User.objects.create_user("anna")
    chat = asked(user=anna)
    first = chat.feedback.give("a", 1, "as it should be")
    assert (first.seq, first.user_id, first.user_key, first.model) == (2, anna.pk, str(anna.pk), "m-1")
    changed = chat.feedback.give(2, -1, " \n")
    assert (changed.vote, changed.comment) == (-1, "")
    chat.feedback.give(2, 1, by="ben of another system")
    assert [each.user_key for each in chat.feedback.of("a")] == [str(anna.pk), "ben of another system"]
    assert chat.feedback.entries() == chat.feedback.of(2)
    assert chat.feedback.of(1) == chat.feedback.of("unknown") == chat.feedback.of("\x00") == []
    assert chat.feedback.totals() == Votes(up=1, down=1)
    assert (chat.feedback.remove(2), chat.feedback.remove(2)) == (True, False)
    assert chat.feedback.totals() == Votes(up=1)


def test_async_twins_do_the_same() -> None:
    async def rate() -> Any:
        await chat.feedback.agive(2, 1, by="anna")
        found = [await chat.feedback.atotals(), await chat.feedback.aof(2), await chat.feedback.aentries()]
        sums = [await feedback.atotals("acme"), await feedback.aby_day("acme"), await feedback.aby_model("acme")]
        return found, sums, await chat.feedback.aremove(2, by="anna")

    chat = asked()
    (totals, of, entries), (all_of_it, (day,), (model,)), removed = async_to_sync(rate)()
    assert (totals, of, all_of_it, removed) == (Votes(up=1), entries, Votes(up=1), True)
    assert (day.up, model.model, model.up) == (1, "m-1", 1)


@pytest.mark.parametrize(
    ("field", "arguments", "by"),
    [
        ("vote", (2, 0), "anna"),
        ("vote", (2, True), "anna"),
        ("vote", (2, "1"), "anna"),
        ("vote", (2, 1.0), "anna"),
        ("comment", (2, 1, None), "anna"),
        ("comment", (2, 1, "x" * (COMMENT_LENGTH + 1)), "anna"),
        ("comment", (2, 1, "\x00"), "anna"),
        ("comment", (2, 1, "\ud800"), "anna"),
        ("seq", (None, 1), "anna"),
        ("seq", (-1, 1), "anna"),
        ("by", (2, 1), None),
        ("by", (2, 1), AnonymousUser()),
        ("by", (2, 1), User(username="unsaved")),
        ("by", (2, 1), ""),
        ("by", (2, 1), 7),
    ],
)
def test_unusable_feedback_is_refused_and_named(field: str, arguments: tuple[Any, ...], by: Any) -> None:
    chat = asked()
    with pytest.raises(ValidationError) as caught:
        chat.feedback.give(*arguments, by=by)
    assert caught.value.field == field
    assert not Feedback.objects.exists()


def test_what_is_not_shown_takes_no_feedback() -> None:
    chat = asked()
    for place in (3, "unknown", "\x00"):
        with pytest.raises(MessageNotFound):
            chat.feedback.give(place, 1, by="anna")
    chat.clear()
    with pytest.raises(MessageNotFound):
        chat.feedback.give(2, 1, by="anna")


def test_feedback_reaches_its_users_conversations_alone() -> None:
    asked(user="anna")
    with pytest.raises(NotOwner):
        conversation("k", "acme", user="ben").feedback.give(2, 1)
    with pytest.raises(NotOwner):
        conversation("k", "acme", user="ben").feedback.entries()


def test_a_back_end_without_feedback_says_so(redis_client: Any) -> None:
    chat = conversation("k", "acme", adapter=RedisAdapter(redis_client))
    chat.append(Message.user("q"))
    for call in (lambda: chat.feedback.give(1, 1, by="anna"), chat.feedback.entries, chat.feedback.totals):
        with pytest.raises(NotSupported, match="RedisAdapter keeps no feedback"):
            call()


def test_sums_are_of_a_time_and_by_day_and_model() -> None:
    chat = asked()
    for who, vote, days in (("a", 1, 2), ("b", -1, 1), ("c", 1, 1)):
        chat.feedback.give(2, vote, "why" if vote == -1 else "", by=who)
        given = datetime(2026, 3, 4, 23, 30, tzinfo=UTC) - timedelta(days=days)
        Feedback.objects.filter(user_key=who).update(updated_at=given)
    chat.feedback.give(1, 1, by="d")
    Feedback.objects.filter(user_key="d").update(updated_at=datetime(2026, 3, 4, tzinfo=UTC))
    asked(workspace="rival").feedback.give(2, -1, by="a")
    assert feedback.totals("acme") == Votes(3, 1, 1)
    assert feedback.totals("acme", since=datetime(2026, 3, 3, tzinfo=UTC), until=datetime(2026, 3, 4, tzinfo=UTC)) == (
        Votes(1, 1, 1)
    )
    assert feedback.by_day("acme") == [
        VotesOfDay(1, 0, 0, day=date(2026, 3, 2)),
        VotesOfDay(1, 1, 1, day=date(2026, 3, 3)),
        VotesOfDay(1, 0, 0, day=date(2026, 3, 4)),
    ]
    assert feedback.by_model("acme") == [VotesOfModel(2, 1, 1, model="m-1"), VotesOfModel(1, 0, 0, model="")]
    assert feedback.totals("unknown") == Votes()
    with pytest.raises(ValidationError, match="since"):
        feedback.totals("acme", since=datetime(2026, 3, 3))  # noqa: DTZ001  # that is what is refused
    with pytest.raises(ValidationError, match="workspace"):
        feedback.by_day("no slug")


@pytest.mark.parametrize("messages", [1, 40])
def test_the_number_of_statements_does_not_grow(messages: int) -> None:
    chat = conversation("k", "acme")
    chat.append(*(Message.user("q") for _ in range(messages)))
    for seq in range(1, messages + 1):
        chat.feedback.give(seq, 1, by="anna")
    calls: list[tuple[Any, int]] = [
        (chat.feedback.entries, 1),
        (chat.feedback.totals, 1),
        (lambda: feedback.totals("acme"), 1),
        (lambda: feedback.by_day("acme"), 1),
        (lambda: feedback.by_model("acme"), 1),
        (lambda: chat.feedback.give(1, -1, by="ben"), 8),
    ]
    for call, most in calls:
        with CaptureQueriesContext(connection) as seen:
            call()
        assert len(seen) <= most, [query["sql"] for query in seen]


def test_a_rollback_takes_feedback_and_its_signal_back() -> None:
    heard: list[Any] = []

    def hear(**said: Any) -> None:
        heard.append((said["key"], said["branch"], said["seq"]))

    chat = asked()
    signals.message_rated.connect(hear)
    try:
        with undone():
            chat.feedback.give(2, 1, by="anna")
        assert (heard, chat.feedback.entries()) == ([], [])
        with transaction.atomic():
            chat.feedback.give(2, 1, by="anna")
            assert heard == []
        chat.feedback.give(2, 1, by="anna")
        chat.feedback.remove(2, by="anna")
        assert heard == [("k", "main", 2)] * 2
    finally:
        signals.message_rated.disconnect(hear)


def test_a_cached_answer_stays_as_it_is(settings: Any) -> None:
    settings.CHAT_MEMORY = {"CACHE": "strict"}
    chat = asked()
    before = chat.tail(2)
    chat.feedback.give(2, 1, by="anna")
    assert chat.tail(2) == before
    assert chat.session().version == 1


@pytest.mark.parametrize("way", WAYS | WAYS_OF_A_WORKSPACE)
def test_feedback_goes_by_every_way_out(way: str) -> None:
    doomed, kept = asked("doomed"), asked("kept", "globex")
    doomed.fork("draft").append(Message.user("x"))
    for chat in (doomed, doomed._on("draft"), kept):
        chat.feedback.give(chat.count(), 1, "words", by="anna")
    (WAYS | WAYS_OF_A_WORKSPACE)[way](Session.objects.get(workspace__slug="acme", key="doomed", branch="main"))
    assert [each.session.key for each in Feedback.objects.select_related("session")] == ["kept"]


def test_cleared_messages_take_their_feedback_along_when_they_are_removed() -> None:
    chat = asked()
    chat.feedback.give(2, 1, by="anna")
    chat.clear()
    assert chat.feedback.entries() == []
    assert feedback.totals("acme") == Votes(up=1)
    chat.delete()
    assert feedback.totals("acme") == Votes()


def test_a_deleted_user_leaves_a_vote_that_nobody_gets() -> None:
    """As a session's: the user key stays, and it is no other user's."""
    anna = User.objects.create_user("anna")
    chat = asked()
    chat.feedback.give(2, 1, "mine", by=anna)
    key = str(anna.pk)
    anna.delete()
    (left,) = chat.feedback.entries()
    assert (left.user_id, left.user_key, left.vote, left.comment) == (None, key, 1, "mine")
    assert Feedback.objects.get().user_left is True
    chat.feedback.give(2, -1, by=key)
    assert chat.feedback.totals() == Votes(1, 1, 1)
    assert chat.feedback.remove(2, by=key)
    assert chat.feedback.entries() == [left]


def test_the_votes_of_two_users_who_were_deleted_stay_apart() -> None:
    chat = asked()
    for name in ("anna", "ben"):
        user = User.objects.create_user(name)
        chat.feedback.give(2, 1, by=user)
        Feedback.objects.filter(user=user).update(user_key="same")
        user.delete()
    assert chat.feedback.totals() == Votes(up=2)


def test_a_redaction_leaves_no_word_of_a_comment() -> None:
    chat = asked()
    chat.feedback.give(2, -1, "it said MARKER", by="anna")
    chat.redact(2)
    (left,) = chat.feedback.entries()
    assert (left.vote, left.comment, left.model) == (-1, "", "")
    assert not Feedback.objects.exclude(comment="", model="").exists()
