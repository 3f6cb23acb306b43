"""Feedback in the admin: a list of its own, on the page of a message, and as numbers in a transcript."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, conversation
from chat_memory.models import Feedback
from tests.acceptance.admin_world import first_message, member, page, signed_in, staff, stored_session

pytestmark = pytest.mark.django_db


def rated(key: str, workspace: str = "acme", comment: str = "since <b>it</b> is wrong") -> Feedback:
    session = stored_session(key, workspace)
    session.history().feedback.give(1, -1, comment, by=f"user of {key}")
    return Feedback.objects.get(session=session)


def test_whoever_reads_messages_reads_feedback_on_them() -> None:
    mine, theirs = rated("mine"), rated("theirs", "rival")
    reader = signed_in(member("acme", "reader"))
    listed = reader.get(page("feedback_changelist"))
    assert [each.pk for each in listed.context["cl"].result_list] == [mine.pk]
    assert "since &lt;b&gt;it&lt;/b&gt; is wrong" in listed.text
    assert "user of mine" in reader.get(page("feedback_change", mine)).text
    assert reader.get(page("feedback_change", theirs)).status_code == 302
    for filtered, number in (("vote__exact=-1", 1), ("vote__exact=1", 0), ("q=wrong", 1), ("q=right", 0)):
        found = reader.get(f"{page('feedback_changelist')}?{filtered}").context["cl"].result_list
        assert len(found) == number


def test_a_member_sees_feedback_on_own_sessions_alone() -> None:
    stored_session("first")
    me = member("acme", "member")
    rated("theirs")
    chat = conversation("mine", "acme", user=me)
    chat.append(Message.user("q"))
    chat.feedback.give(1, 1)
    listed = signed_in(me).get(page("feedback_changelist")).context["cl"].result_list
    assert [each.session.key for each in listed] == ["mine"]


def test_nobody_changes_feedback_by_hand() -> None:
    given = rated("k")
    admin = signed_in(member("acme", "admin"))
    assert admin.get(page("feedback_add")).status_code == 403
    assert admin.post(page("feedback_delete", given), {"post": "yes"}).status_code == 403
    assert admin.post(page("feedback_change", given), {"vote": "1"}).status_code == 403
    assert Feedback.objects.get().vote == -1


def test_without_the_permission_to_read_messages_there_is_no_feedback() -> None:
    """A comment may quote a message."""
    given = rated("k")
    somebody = staff("somebody", models=("session", "feedback", "workspace"))
    somebody.chat_memory_memberships.create(workspace=given.workspace, role="admin")
    assert signed_in(somebody).get(page("feedback_changelist")).status_code == 403


def test_the_page_of_a_message_shows_what_people_think() -> None:
    given = rated("k")
    message = first_message(given.session)
    shown = signed_in(member("acme", "reader")).get(page("message_change", message)).text
    assert "<b>-1</b> user of k: since &lt;b&gt;it&lt;/b&gt; is wrong" in shown
    unpermitted = staff("somebody", models=("session", "message", "workspace"))
    unpermitted.chat_memory_memberships.create(workspace=given.workspace, role="admin")
    assert "is wrong" not in signed_in(unpermitted).get(page("message_change", message)).text


def test_a_transcript_has_the_numbers_of_votes_by_one_statement() -> None:
    session = stored_session("k", size=30)
    reader = signed_in(member("acme", "reader"))
    counts, shown = [], ""
    for seq in (1, *range(2, 31)):
        session.history().feedback.give(seq, 1, by="anna")
        session.history().feedback.give(seq, 1, by="ben")
        if seq in (1, 30):
            with CaptureQueriesContext(connection) as asked:
                shown = reader.get(page("session_transcript", session)).text
            counts.append(len(asked))
    assert shown.count("2 good, 0 bad") == 30
    assert counts[0] == counts[1]
