"""The example's chat page in a real browser, under a strict policy of content: two tabs, one conversation."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from chat_memory.models import Session, Workspace, WorkspaceMember
from tests.browser.models import EndlessModel, endless_model
from tests.browser.traps import Watched
from tests.waiting import PATIENCE, until_threads_end

pytestmark = pytest.mark.django_db(transaction=True)


class ChatTab:
    """One tab on the chat page; each of its methods is for the eyes or the hands of a person."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.driver = watched, watched.driver
        self.handle = watched.driver.current_window_handle

    def __enter__(self) -> "ChatTab":
        self.driver.switch_to.window(self.handle)
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing: the next block goes to its own tab."""

    def ask(self, text: str) -> None:
        box = self.driver.find_element(By.CSS_SELECTOR, ".composer textarea")
        box.send_keys(text)
        self.driver.find_element(By.CSS_SELECTOR, ".composer button").click()

    def press(self, name: str) -> None:
        """Click the last button of that name; where the page was just refreshed, the one that came in its place."""
        where = (By.XPATH, f"(//button[normalize-space()='{name}' or @aria-label='{name}'])[last()]")
        self.sees(lambda: self.driver.find_element(*where).click() is None)

    def edit(self, number: int, text: str) -> None:
        """Ask the question of that number in other words."""
        form = self.driver.find_elements(By.CSS_SELECTOR, ".edit")[number]
        form.find_element(By.TAG_NAME, "summary").click()
        box = form.find_element(By.TAG_NAME, "textarea")
        box.clear()
        box.send_keys(text)
        form.find_element(By.TAG_NAME, "button").click()

    def texts(self) -> list[str]:
        """What the messages say, in their order."""
        script = "return [...document.querySelectorAll('.message .text')].map((each) => each.textContent)"
        return list(self.driver.execute_script(script))

    def grows(self) -> bool:
        return bool(self.driver.find_elements(By.CSS_SELECTOR, "[data-follow]"))

    def says(self, text: str) -> bool:
        return text in str(self.driver.execute_script("return document.querySelector('#history').innerText"))

    def sees(self, what: Callable[[], Any]) -> None:
        """Look until it is so; the page changes meanwhile."""
        waits = WebDriverWait(self.driver, PATIENCE, 0.05, ignored_exceptions=[StaleElementReferenceException])
        waits.until(lambda _driver: what())

    def sees_it_grow(self) -> None:
        self.sees(lambda: self.grows() and self.texts()[-1].startswith("Answer"))
        before = self.texts()[-1]
        self.sees(lambda: len(self.texts()[-1]) > len(before) and self.texts()[-1].startswith(before))


@pytest.fixture(name="model")
def _model(monkeypatch: pytest.MonkeyPatch) -> Iterator[EndlessModel]:
    with endless_model() as model:
        monkeypatch.setenv("OPENAI_BASE_URL", model.address)
        yield model
    until_threads_end("answer")


@pytest.fixture(name="tabs")
def _tabs(watched: Watched, client: Client) -> Iterator[tuple[ChatTab, ChatTab]]:
    """Two tabs of one person."""
    user = User.objects.create_user("mara")
    WorkspaceMember.objects.create(workspace=Workspace.objects.create(slug="acme"), user=user)
    client.force_login(user)
    watched.log_in(client.cookies["sessionid"].value)
    one = ChatTab(watched)
    watched.driver.switch_to.new_window("tab")
    two = ChatTab(watched)
    yield one, two
    with two:
        watched.driver.close()
    with one:  # leave the page, which asks on as long as something grows
        watched.open("/tripping/nothing/")


def test_two_tabs_talk_to_a_model(tabs: tuple[ChatTab, ChatTab], model: EndlessModel, watched: Watched) -> None:
    """Ask, see it grow, stop, ask again, compare, ask differently; what one tab does the other one follows."""
    one, two = tabs
    with one:
        watched.open("/chat/acme/")
        one.ask("Tell me of the sea.")
        one.sees_it_grow()
        address = watched.driver.current_url.partition("#")[0]
    with two:  # it comes later, and follows what is being written
        watched.driver.get(address)
        two.sees_it_grow()
        two.press("Stop")
        two.sees(lambda: two.says("Stopped.") and not two.grows())
        stopped = two.texts()
    with one:
        one.sees(lambda: one.says("Stopped.") and not one.grows())
        assert one.texts() == stopped
        one.press("Answer again")
        one.sees_it_grow()
        assert one.texts()[-1].startswith("Answer 2:")
        model.end()
        one.sees(lambda: one.says("2 of 2") and not one.grows())
        again = one.texts()
        one.press("The one before")
        one.sees(lambda: one.says("1 of 2"))
        assert one.texts() == stopped
        one.press("The next one")
        one.sees(lambda: one.says("2 of 2"))
        assert one.texts() == again
        assert watched.look().sprung == []
    model.begin()
    with two:
        watched.driver.get(address)
        two.edit(0, "Tell me of the moon.")
        two.sees_it_grow()
        assert two.texts()[0] == "Tell me of the moon."
        model.end()
        two.sees(lambda: not two.grows())
        assert two.says("2 of 2")
        two.press("The one before")
        two.sees(lambda: two.texts() == stopped)  # the branch on which that question was asked
    assert model.answers == 3
    assert len(Session.objects.roots().get().history().branches()) == 3
