"""What the admin shows of messages that are being streamed, of partial ones, and of branches that wait for one."""

from typing import Any

import pytest
from django.test import Client

from chat_memory import Message, conversation
from chat_memory.models import Draft, Session
from tests.acceptance.admin_world import member, page, signed_in, staff, stored_session

pytestmark = pytest.mark.django_db(transaction=True)


def begun_stream(session: Session, ident: str, text: str = "SECRET words", **options: Any) -> None:
    """Begins a stream that goes on."""
    stream = conversation(session.key, "acme").streaming(id=ident, **options)
    stream.__enter__()
    stream.write(text)
    stream.flush()


def drafts_on(client: Client, session: Session) -> str:
    """The section of a transcript that lists what is being written; "": there is none."""
    shown = client.get(page("session_transcript", session)).content.decode()
    assert "SECRET" not in shown
    return shown.partition('<section class="cm-drafts"')[2].partition("</section>")[0]


def test_a_transcript_says_who_writes_how_much_and_since_when(admin_client: Client) -> None:
    session = stored_session("k")
    assert drafts_on(admin_client, session) == ""
    begun_stream(session, "a", name="<b>Bot" + "x" * 240, metadata={"k": "SECRET"})
    chat = conversation("k", "acme", branch=conversation("k", "acme").fork("other").branch)
    chat.streaming(id="b", role="user").__enter__()
    chat.drafts.stop("b")
    Draft.objects.filter(client_id="b").update(begun=1_000_000_000_000)
    shown = drafts_on(admin_client, session)
    for said in ("12 characters", "0 characters", "&lt;b&gt;Bot", "assistant", "stop asked", "main", "other", "2001"):
        assert said in shown
    assert "<b>" not in shown
    assert "x" * 200 not in shown
    assert (shown.count("<li>"), "abandoned" in shown) == (2, False)


def test_to_look_at_an_abandoned_draft_ends_none(admin_client: Client) -> None:
    session = stored_session("k")
    begun_stream(session, "a")
    Draft.objects.update(touched=1_000)
    assert "abandoned" in drafts_on(admin_client, session)
    assert Draft.objects.count() == 1
    assert conversation("k", "acme").count() == 2


def test_no_more_are_listed_than_fit(admin_client: Client, settings: Any) -> None:
    settings.CHAT_MEMORY = {"MAX_DRAFTS": 30}
    session = stored_session("k")
    for number in range(22):
        begun_stream(session, str(number))
    shown = drafts_on(admin_client, session)
    assert (shown.count("<li>"), "There are more" in shown) == (20, True)


def test_only_who_sees_the_session_and_may_read_messages_sees_its_drafts() -> None:
    session, other = stored_session("k"), stored_session("k", "globex")
    begun_stream(session, "a")
    assert "12 characters" in drafts_on(signed_in(member("acme", "reader")), session)
    assert drafts_on(signed_in(member("globex", "admin")), other) == ""
    for somebody in (member("acme", "member"), member("globex", "reader")):
        answer = signed_in(somebody).get(page("session_transcript", session))
        assert (answer.status_code, b"cm-drafts" in answer.content) == (404, False)
    unread = staff("no-messages", models=("workspace", "session"))
    assert signed_in(unread).get(page("session_transcript", session)).status_code in (403, 404)


@pytest.mark.parametrize("state", ["stopped", "failed", "abandoned"])
def test_a_partial_message_is_marked_by_a_word(admin_client: Client, state: str) -> None:
    session = stored_session("k")
    chat = conversation("k", "acme")
    chat.place.adapter.messages.append(chat.place.address, [Message.assistant("So far", id="p")])
    session.messages.filter(client_id="p").update(state=state)
    row = session.messages.get(client_id="p")
    for address in (page("session_transcript", session), page("message_changelist"), page("message_change", row)):
        shown = admin_client.get(address).content.decode()
        assert shown.count(f'<span class="cm-state">{state}</span>') == 1


def test_a_pending_branch_is_marked_by_a_word(admin_client: Client) -> None:
    session = stored_session("k")
    shown = admin_client.get(page("session_transcript", session)).content.decode()
    assert ", pending" not in shown
    conversation("k", "acme").regenerate(2, until="begun")
    shown = admin_client.get(page("session_transcript", session)).content.decode()
    assert shown.count(", pending") == 1
