"""Answers on the chat page: they grow for whoever looks, stop, are made again, and belong to their questions."""

import queue
import re
import threading
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client

from chat_memory import Message, Turn
from chat_memory.models import Session, Workspace, WorkspaceMember
from example_project import assistant
from tests.integration.streams import end_leases, lapse
from tests.waiting import eventually, until_threads_end

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "/chat/acme/"


class Told:
    """An assistant that says what the test tells it; an answer ends with what ends with a full stop."""

    def __init__(self) -> None:
        self.asked: list[list[Any]] = []
        self.pieces: queue.Queue[str] = queue.Queue()

    def answer(self, turn: Turn) -> Iterator[str]:
        self.asked.append([message.content for message in turn.prompt(messages=40)])
        piece = ""
        while not piece.endswith("."):
            piece = self.pieces.get()
            yield piece

    def say(self, text: str) -> bool:
        """Have one of the open answers go on."""
        self.pieces.put(text)
        return True

    def end(self, text: str = ".") -> None:
        """End the open answer with this text, and wait until it is stored."""
        self.pieces.put(text)
        until_threads_end("answer")


@pytest.fixture(name="told")
def _told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    made = Told()
    monkeypatch.setattr(assistant, "answer", made.answer)
    yield made
    for _answer in range(3):
        made.pieces.put(".")
    until_threads_end("answer")


@pytest.fixture(name="browser")
def _browser() -> Client:
    user = User.objects.create_user("mara")
    WorkspaceMember.objects.create(workspace=Workspace.objects.create(slug="acme"), user=user)
    client = Client()
    client.force_login(user)
    return client


def fresh_question(text: str) -> dict[str, Any]:
    return {"text": text, "message_id": uuid.uuid4(), "chat_id": uuid.uuid4()}


def ask_on_page(browser: Client, text: str, address: str = NEW) -> str:
    """Ask; the address of the conversation."""
    return str(urlsplit(browser.post(address, fresh_question(text))["Location"]).path)


def ask_and_hear(browser: Client, told: Told, text: str, answer: str) -> str:
    """Ask and have it answered; the address of the conversation."""
    address = ask_on_page(browser, text)
    told.end(answer)
    return address


def seen(browser: Client, address: str) -> str:
    return browser.get(address).content.decode()


def bubbles(browser: Client, address: str) -> list[str]:
    """The texts on the page, in its order."""
    return re.findall(r'<div class="text"[^>]*>(.*?)</div>', seen(browser, address), re.DOTALL)


def offered(browser: Client, address: str, door: str) -> dict[str, str]:
    """The hidden fields of the last form on the page that leads to a door."""
    forms = re.findall(rf'<form [^>]*action="[^"]+/{door}/".*?</form>', seen(browser, address), re.DOTALL)
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', forms[-1]))


def pressed(browser: Client, address: str, door: str, **fields: Any) -> dict[str, str]:
    """Send the last form on the page that leads to a door; what was sent."""
    sent = offered(browser, address, door) | fields
    assert browser.post(f"{address}{door}/", sent)["Location"].startswith(address)
    return sent


def grown(browser: Client, told: Told, address: str, word: str) -> None:
    """Have the assistant go on until the page shows a word of its."""

    def shows() -> bool:
        told.say(word)
        return word in bubbles(browser, address)[-1]

    eventually(shows)


def said_and_states() -> list[tuple[Any, str]]:
    return [(message.content, message.state) for message in Session.objects.roots().get().history().messages()]


def test_an_answer_grows_on_the_page_while_the_browser_is_away(browser: Client, told: Told) -> None:
    address = ask_on_page(browser, "Tell me of the sea.")
    grown(browser, told, address, "Waves ")
    page = seen(browser, address)
    follow = re.search(r'data-follow="([^"]+)" data-length="(\d+)"', page)
    assert follow
    assert '<noscript><meta http-equiv="refresh"' in page
    assert said_and_states() == [("Tell me of the sea.", "complete")]
    told.end()
    ended = browser.get(f"{follow[1]}?after={follow[2]}").json()
    assert ended["state"] == "complete"
    page = seen(browser, address)
    assert "data-follow" not in page
    assert "http-equiv" not in page
    assert said_and_states()[1] == (bubbles(browser, address)[-1], "complete")


def test_a_form_sent_twice_while_the_answer_grows_is_answered_once(browser: Client, told: Told) -> None:
    """FEATURES E11."""
    sent = fresh_question("Once?")
    first, second = (browser.post(NEW, sent)["Location"] for _time in range(2))
    assert first == second
    told.end("Once.")
    browser.post(NEW, sent)
    until_threads_end("answer")
    assert told.asked == [["Once?"]]
    assert said_and_states() == [("Once?", "complete"), ("Once.", "complete")]


def test_an_answer_is_stopped_and_kept(browser: Client, told: Told) -> None:
    address = ask_on_page(browser, "Tell me all.")
    grown(browser, told, address, "First ")
    sent = pressed(browser, address, "stop")
    eventually(lambda: told.say("more ") and said_and_states()[-1][1] == "stopped")
    assert "Stopped." in seen(browser, address)
    assert bubbles(browser, address)[-1].startswith("First ")
    browser.post(f"{address}stop/", sent)
    browser.post(f"{address}stop/", {"draft": "nothing"})
    assert "has already ended" in seen(browser, address)
    assert said_and_states()[-1][1] == "stopped"


def test_a_question_is_answered_again_beside_the_former_answer(browser: Client, told: Told) -> None:
    """The page shows what is being written; two clicks are one answer, before its end and after it."""
    address = ask_and_hear(browser, told, "Heads or tails?", "Heads.")
    again = pressed(browser, address, "answer")
    assert again["answer"]
    browser.post(f"{address}answer/", again)
    grown(browser, told, address, "Tails ")
    assert "Heads." not in seen(browser, address)
    told.end()
    browser.post(f"{address}answer/", again)
    until_threads_end("answer")
    assert told.asked == [["Heads or tails?"]] * 2
    page = seen(browser, address)
    assert "2 of 2" in page
    assert "Tails " in page
    earlier = re.search(r'name="branch" value="([^"]+)"', page)
    assert earlier
    browser.post(f"{address}switch/", {"branch": earlier[1]})
    page = seen(browser, address)
    assert "1 of 2" in page
    assert bubbles(browser, address) == ["Heads or tails?", "Heads."]


def test_an_answer_that_cannot_be_written_again_is_told(browser: Client, told: Told, settings: Any) -> None:
    address = ask_and_hear(browser, told, "Really?", "Yes.")
    again = offered(browser, address, "answer")
    settings.CHAT_MEMORY = {"MAX_BRANCHES": 1}
    browser.post(f"{address}answer/", again)
    assert "The question is not answered again" in seen(browser, address)
    assert bubbles(browser, address) == ["Really?", "Yes."]


def test_a_question_is_asked_in_other_words_on_a_branch(browser: Client, told: Told) -> None:
    address = ask_and_hear(browser, told, "Three days in Rome?", "The Forum.")
    sent = pressed(browser, address, "edit", text="Three days in Oslo?")
    browser.post(f"{address}edit/", sent)
    told.end("The harbour.")
    browser.post(f"{address}edit/", sent)
    until_threads_end("answer")
    assert told.asked == [["Three days in Rome?"], ["Three days in Oslo?"]]
    assert bubbles(browser, address) == ["Three days in Oslo?", "The harbour."]
    page = seen(browser, address)
    assert "2 of 2" in page
    assert browser.post(f"{address}switch/", {"branch": "main"}).status_code == 302
    assert bubbles(browser, address) == ["Three days in Rome?", "The Forum."]


def test_an_edit_that_cannot_be_is_told(browser: Client, told: Told) -> None:
    address = ask_and_hear(browser, told, "Really?", "Yes.")
    bad: list[dict[str, str]] = [{"text": " "}, {"text": "x" * 20_001}, {"message_id": "no"}, {"question": "none"}]
    for fields in bad:
        browser.post(f"{address}edit/", offered(browser, address, "edit") | {"text": "Sure?"} | fields)
        assert "The question was not changed" in seen(browser, address)
    assert [content for content, _state in said_and_states()] == ["Really?", "Yes."]


def test_a_branch_that_is_not_there_is_told(browser: Client, told: Told) -> None:
    address = ask_and_hear(browser, told, "Really?", "Yes.")
    for name in ("", "nowhere"):
        browser.post(f"{address}switch/", {"branch": name})
        assert "no longer exists" in seen(browser, address)


def test_answers_that_cross_stand_behind_their_questions(browser: Client, told: Told) -> None:
    address = ask_on_page(browser, "First?")
    ask_on_page(browser, "Second?", address)
    assert bubbles(browser, address)[::2] == ["First?", "Second?"]
    for _answer in range(2):
        told.say("Well.")
    until_threads_end("answer")
    assert bubbles(browser, address) == ["First?", "Well.", "Second?", "Well."]
    assert said_and_states()[1] == ("Second?", "complete")


def test_an_answer_whose_writer_is_gone_is_kept_and_asked_for_again(browser: Client, told: Told) -> None:
    """The writer of this one is a process that was killed."""
    address = ask_and_hear(browser, told, "Hello?", "Yes.")
    chat = Session.objects.get().history()
    turn = chat.turn(Message.user("Still there?", id="q2")).__enter__()
    stream = turn.stream().__enter__()
    stream.write("I am ")
    stream.flush()
    assert bubbles(browser, address)[-1] == "I am "
    lapse()
    end_leases()
    assert "who wrote it is gone" in seen(browser, address)
    pressed(browser, address, "answer")
    told.end("I am here.")
    assert told.asked[-1] == ["Hello?", "Yes.", "Still there?"]
    assert bubbles(browser, address) == ["Hello?", "Yes.", "Still there?", "I am here."]


def test_a_conversation_that_is_deleted_ends_its_answer(browser: Client, told: Told) -> None:
    address = ask_on_page(browser, "Hello?")
    grown(browser, told, address, "Hello ")
    Session.objects.get().history().delete()
    eventually(lambda: told.say("more ") and "answer" not in {thread.name for thread in threading.enumerate()})
    assert browser.get(address).status_code == 404
    assert not Session.objects.exists()
