"""The chat page: a form that may be sent twice, histories that stay with their owners, text that stays text."""

import re
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chat_memory import Message, Turn, conversation
from chat_memory.models import Session, Workspace, WorkspaceMember
from example_project import assistant, offline
from example_project.endpoint import EndpointError
from tests.waiting import until_threads_end

pytestmark = pytest.mark.django_db
with_answers = pytest.mark.django_db(transaction=True)
"""For tests that ask: the thread that answers sees what is committed."""

NEW = "/chat/acme/"
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)


@pytest.fixture
def mara() -> User:
    user = User.objects.create_user("mara")
    WorkspaceMember.objects.create(workspace=Workspace.objects.create(slug="acme", name="Acme"), user=user)
    return user


class Patient(Client):
    """A browser whose user waits for the answer before anything else."""

    def post(self, *args: Any, **kwargs: Any) -> Any:
        response = super().post(*args, **kwargs)
        until_threads_end("answer")
        return response


@pytest.fixture(name="browser")
def _browser(mara: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(offline, "PAUSE", 0)
    client = Patient()
    client.force_login(mara)
    return client


def form(text: str, **ids: uuid.UUID) -> dict[str, Any]:
    return {"text": text, "message_id": uuid.uuid4(), "chat_id": uuid.uuid4()} | ids


def hidden_fields(page: str, action: str, number: int = 0) -> dict[str, str]:
    """The hidden fields of a form on a page, by the last part of the address that it leads to."""
    forms = re.findall(rf'<form [^>]*action="[^"]+/{action}/".*?</form>', page, re.DOTALL)
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', forms[number]))


def path_of(response: Any) -> str:
    """Where a POST leads, which must be a page that a reload does not send again."""
    assert response.status_code == 302, response.content.decode()
    return str(urlsplit(response["Location"]).path)


def stored_texts() -> list[tuple[str, Any]]:
    return [(message.role, message.content) for message in Session.objects.get().history().messages()]


def test_conversations_are_listed_by_their_last_message_with_what_is_shown(browser: Client, mara: User) -> None:
    for key in ("first", "second"):
        conversation(key, "acme", user=mara).append(*(Message.user(f"{key} {number}") for number in range(3)))
    first = conversation("first", "acme")
    first.fork("short", at=1).append(Message.user("again"))
    first.switch("short")
    conversation("second", "acme").update(title="A new title moves nothing")
    listed = re.findall(r'<span class="soft">(\d) messages', browser.get(NEW).content.decode())
    assert listed == ["2", "3"]


@with_answers
def test_message_is_stored_and_answered(browser: Client, mara: User) -> None:
    page = browser.get(path_of(browser.post(NEW, form("My name is Ada."))))
    session = Session.objects.get()
    assert (session.user, session.workspace.slug, session.title) == (mara, "acme", "My name is Ada.")
    assert [role for role, _content in stored_texts()] == ["user", "assistant"]
    assert b"<h1>My name is Ada.</h1>" in page.content
    again = browser.post(path_of(browser.post(NEW, form("Another chat"))), form("What is my name?"))
    assert "You have not told me your name yet." in browser.get(path_of(again)).content.decode()


@with_answers
@pytest.mark.parametrize("begun", [False, True])
def test_form_sent_twice_is_stored_once(browser: Client, begun: bool) -> None:
    """FEATURES E11: the ids are the form's."""
    address = path_of(browser.post(NEW, form("Hello"))) if begun else NEW
    sent = form("My name is Ada.")
    before = len(stored_texts()) if begun else 0
    assert path_of(browser.post(address, sent)) == path_of(browser.post(address, sent))
    assert len(stored_texts()) == before + 2


@with_answers
def test_form_sent_again_with_other_text_keeps_both_texts(browser: Client) -> None:
    sent = form("One")
    browser.post(NEW, sent)
    page = browser.post(NEW, sent | {"text": "Two"})
    assert page.status_code == 409
    assert "Two" in page.content.decode()
    assert [content for role, content in stored_texts() if role == "user"] == ["One"]
    fresh = re.search(r'name="message_id" value="([^"]+)"', page.content.decode())
    assert fresh
    browser.post(NEW, sent | {"text": "Two", "message_id": fresh[1]})
    assert [content for role, content in stored_texts() if role == "user"] == ["One", "Two"]


@with_answers
def test_user_message_is_stored_before_a_model_that_fails(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """FEATURES E08."""

    def fail(turn: Turn) -> Iterator[str]:
        assert turn.question.seq == 1
        yield "I am"
        raise EndpointError("The model broke off.")

    with monkeypatch.context() as broken:
        broken.setattr(assistant, "answer", fail)
        address = path_of(browser.post(NEW, form("Are you there?")))
    assert stored_texts() == [("user", "Are you there?"), ("assistant", "I am")]
    page = browser.get(address).content.decode()
    assert "The model broke off." in page
    offered = hidden_fields(page, "answer")
    assert "answer" not in offered
    for _time in range(2):
        browser.post(f"{address}answer/", offered)
    assert [role for role, _content in stored_texts()] == ["user", "assistant"]
    assert "Noted: that is message 1" in browser.get(address).content.decode()


def test_markup_in_messages_is_text(browser: Client, mara: User) -> None:
    bad = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    call = {"id": "1", "type": "function", "function": {"name": bad, "arguments": bad}}
    picture = [{"type": "text", "text": bad}, {"type": "image_url", "image_url": {"url": "javascript:" + bad}}]
    chat = conversation("bad", workspace="acme", user=mara)
    chat.append(
        Message.user(picture), Message.assistant(tool_calls=[call, {bad: bad}]), Message.tool(bad, tool_call_id="1")
    )
    chat.append(Message.assistant(bad, name=bad))
    chat.update(title=bad)
    page = browser.get(reverse("chat", args=["acme", Session.objects.get().pk])).content.decode()
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("[" * 100_000, "[" * 100_000),
        ("[" * 100_000 + "]" * 100_000, "[" * 100_000 + "]" * 100_000),
        ("[" * 400 + "]" * 400, "[\n"),
        ('{"a":"\\ud800"}', "&quot;\\ud800&quot;"),
        ("9" * 5_000, "9" * 5_000),
        ('{"a":"é"}', "&quot;é&quot;"),
    ],
    ids=["open brackets", "very deep", "deep", "half a character", "many digits", "usual"],
)
def test_results_and_arguments_of_every_kind_are_shown(said: str, shown: str, browser: Client, mara: User) -> None:
    """What tools and models write is theirs: JSON, or nearly."""
    chat = conversation("k", workspace="acme", user=mara)
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": said}}
    chat.append(Message.assistant(tool_calls=[call]), Message.tool(said, tool_call_id="1"))
    page = browser.get(reverse("chat", args=["acme", Session.objects.get().pk]))
    assert page.status_code == 200
    assert page.content.decode().count(shown) >= 2


@pytest.mark.parametrize("address", ["/log-in/", NEW])
def test_pages_have_nothing_inline(address: str, browser: Client) -> None:
    """A content security policy without 'unsafe-inline' would not break them."""
    page = (Client() if address == "/log-in/" else browser).get(address)
    assert page.status_code == 200
    assert not INLINE.search(page.content.decode())


def test_conversations_of_others_do_not_exist(browser: Client) -> None:
    """FEATURES E14: a colleague in the same workspace, and another workspace."""
    jonas = User.objects.create_user("jonas")
    secret = conversation("secret", workspace="acme", user=jonas)
    secret.append(Message.user("The key is under the mat."))
    elsewhere = conversation("elsewhere", workspace="other", user=jonas)
    elsewhere.append(Message.user("Hello"))
    WorkspaceMember.objects.create(workspace=Workspace.objects.get(slug="other"), user=jonas)
    theirs = [
        reverse("chat", args=["acme", Session.objects.get(key="secret").pk]),
        reverse("chat", args=["other", Session.objects.get(key="elsewhere").pk]),
        "/chat/other/",
        "/chat/nowhere/",
    ]
    for address in theirs:
        assert browser.get(address).status_code == 404
        assert browser.post(address, form("Hello")).status_code == 404
    for door in ("answer", "edit", "stop", "switch"):
        assert browser.post(f"{theirs[0]}{door}/").status_code == 404
    assert b"under the mat" not in browser.get(NEW).content
    assert secret.count() == elsewhere.count() == 1


@pytest.mark.parametrize("slug", ["nowhere", "%00", "acme%00", "a" * 200])
def test_addresses_of_no_workspace_do_not_exist(slug: str, browser: Client) -> None:
    for address in (f"/chat/{slug}/", f"/chat/{slug}/{uuid.uuid4()}/"):
        assert browser.get(address).status_code == browser.post(address, form("Hi")).status_code == 404


def test_pages_need_a_log_in() -> None:
    for address in ("/", NEW, f"{NEW}{uuid.uuid4()}/"):
        assert Client().get(address)["Location"].startswith("/log-in/?next=")


def test_user_without_a_workspace_is_told() -> None:
    client = Client()
    client.force_login(User.objects.create_user("nobody"))
    page = client.get("/")
    assert page.status_code == 403
    assert b"member of no workspace" in page.content


def test_bad_forms_store_nothing(browser: Client) -> None:
    bad = [form(""), form("   "), form("x" * 20_001), form("a\0b"), form("Hi") | {"message_id": "no"}]
    for fields in bad:
        page = browser.post(NEW, fields)
        assert page.status_code == 400
        assert b'role="alert"' in page.content
    assert not Session.objects.exists()


def test_long_history_begins_with_its_newest(browser: Client, mara: User) -> None:
    chat = conversation("long", workspace="acme", user=mara)
    chat.append(*[Message.user(f"Line {number}.") for number in range(1, 121)])
    address = reverse("chat", args=["acme", Session.objects.get().pk])
    page = browser.get(address).content.decode()
    assert "Line 120." in page
    assert "Line 20." not in page
    assert "20 earlier messages" in page
    (link,) = re.findall(r'href="(\?before=[^"]+)"', page)
    earlier = browser.get(address + link).content.decode()
    assert "Line 1." in earlier
    assert "Line 20." in earlier
    assert "Line 21." not in earlier
    assert "earlier message" not in earlier
    assert "Line 120." in browser.get(f"{address}?before=none").content.decode()


def test_what_was_cleared_is_not_counted_as_earlier(browser: Client, mara: User) -> None:
    chat = conversation("long", workspace="acme", user=mara)
    chat.append(*[Message.user("x") for _ in range(300)])
    chat.clear()
    chat.append(*[Message.user(f"Line {number}.") for number in range(1, 102)])
    page = browser.get(reverse("chat", args=["acme", Session.objects.get().pk])).content.decode()
    assert ">1 earlier message<" in page


def test_a_page_of_large_messages_is_bounded(browser: Client, mara: User) -> None:
    chat = conversation("large", workspace="acme", user=mara)
    for number in range(5):
        chat.append(Message.user(f"Line {number}. " + "x" * 600_000))
    page = browser.get(reverse("chat", args=["acme", Session.objects.get().pk])).content.decode()
    assert len(page) < 2_000_000
    assert "Line 4." in page
    assert "4 earlier messages" in page


@pytest.mark.parametrize("debug", [False, True])
def test_log_ins_are_shown_in_debug_only(debug: bool, settings: Any) -> None:
    User.objects.create_user("mara", password="mara-demo")
    settings.DEBUG = debug
    assert (b"mara-demo" in Client().get("/log-in/").content) is debug
