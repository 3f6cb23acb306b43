"""Stored markup is text wherever a page shows it: no script, no request, no element of it, on any page (B8)."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db.models import CharField, JSONField, Model, TextField
from django.test import Client
from django.urls import reverse
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from chat_memory.models import Session, Workspace, WorkspaceMember
from tests.admin_pages import admins_of_the_package, list_page, pages_of_a_list, pages_of_a_row
from tests.browser.markup import PAYLOADS, Planted, planted
from tests.browser.traps import Sight, Watched

pytestmark = pytest.mark.django_db(transaction=True)

CHOSEN = {"slug", "branch", "pending", "role", "state", "client_id"}
"""Columns whose text the rules choose from a few, or that hold markup in some rows alone."""


@pytest.fixture(name="world", params=PAYLOADS)
def _world(request: pytest.FixtureRequest, watched: Watched, client: Client) -> Planted:
    """One payload everywhere, and a browser in which its owner is logged in."""
    made = planted(request.param)
    client.force_login(made.owner)
    watched.log_in(client.cookies["sessionid"].value)
    return made


def assert_text_alone(looks: list[Sight], payload: str, pages: int) -> None:
    """Nothing sprang, and at least so many pages showed the payload as it is."""
    assert {look.address: look.sprung for look in looks if look.sprung} == {}
    assert sum(payload in look.text for look in looks) >= pages


def pages_that_show(payload: str) -> Iterator[str]:
    """All pages of the admin for what is stored, and what their searches and filters answer to the payload."""
    yield from (reverse(f"admin:{name}") for name in ("index", "password_change"))
    yield reverse("admin:app_list", args=["chat_memory"])
    for model, page in admins_of_the_package().items():
        yield from pages_of_a_list(page)
        for number, pk in enumerate(model._default_manager.values_list("pk", flat=True)):
            *others, form, _old_address = pages_of_a_row(page, pk)
            yield form
            # Of messages there are many, and these pages show no more of them than that they are there.
            yield from others if number < 5 else ()
        filters = [str(getattr(each, "parameter_name", each)) for each in page.list_filter]
        for name in ("q", "_popup", "unknown", *filters):
            yield f"{list_page(model)}?{urlencode({name: payload})}"
    for root in Session.objects.filter(parent=None):
        yield f"{reverse('admin:chat_memory_session_transcript', args=[root.pk])}?{urlencode({'at': payload})}"


def test_b8_in_the_admin(world: Planted, watched: Watched) -> None:
    """Lists, searches, forms, transcripts with all details open, histories, deletions, branches."""
    changed = list(changed_by_hand(watched, world))
    looks = [watched.open(address) for address in pages_that_show(world.payload)]
    assert_text_alone([*changed, *looks], world.payload, 40)
    assert sum(look.elsewhere for look in looks) > 0, "no link to elsewhere was looked at"


def changed_by_hand(watched: Watched, world: Planted) -> Iterator[Sight]:
    """What the admin says to forms that are sent with the payload in every field, refused and stored ones."""
    workspace = world.session.workspace
    for address in (
        reverse("admin:chat_memory_workspace_change", args=[workspace.pk]),
        reverse("admin:chat_memory_workspace_add"),
        f"{reverse('admin:chat_memory_workspace_add')}?_popup=1",
        reverse("admin:chat_memory_session_change", args=[world.session.pk]),
        reverse("admin:chat_memory_workspacemember_change", args=[WorkspaceMember.objects.get().pk]),
        reverse("admin:chat_memory_workspacemember_add"),
    ):
        # Once in all fields, which is refused, and once where any text can be stored, which is said and logged.
        for filled in ("textarea, input[type=text]", "input[name=title], input[name=name]"):
            watched.open(address)
            yield sent_form(watched, filled, world.payload)
    for model in (Session, Workspace, WorkspaceMember):
        yield watched.open(list_page(model))
        yield asked_to_delete(watched)
    yield suggested(watched, world)


def sent_form(watched: Watched, filled: str, text: str) -> Sight:
    """The answer to the form of a page, with that text in the fields that the selector names."""
    fields = f"for (const each of document.querySelectorAll('#content-main :is({filled})')) each.value = arguments[0];"
    watched.driver.execute_script(fields, text)
    watched.driver.find_element(By.NAME, "_save").click()
    return watched.look()


def asked_to_delete(watched: Watched) -> Sight:
    """The question that follows the action of deleting all rows of a list."""
    watched.driver.find_element(By.ID, "action-toggle").click()
    watched.driver.execute_script("document.querySelector('select[name=action]').value = 'delete_selected'")
    watched.driver.find_element(By.NAME, "index").click()
    return watched.look()


def suggested(watched: Watched, world: Planted) -> Sight:
    """The page of a new membership with the suggestions for its workspace open, and one of them taken."""
    watched.open(reverse("admin:chat_memory_workspacemember_add"))
    watched.driver.find_element(By.CSS_SELECTOR, ".field-workspace .select2-selection").click()
    named = (By.CSS_SELECTOR, ".select2-results__option[role=option]:not(.loading-results)")
    offered = WebDriverWait(watched.driver, 30).until(lambda driver: driver.find_elements(*named))
    assert world.payload[:20] in " ".join(str(each.get_attribute("textContent")) for each in offered)
    watched.look()
    offered[0].click()
    return watched.look()


def test_b8_in_the_chat_of_the_example(world: Planted, watched: Watched) -> None:
    """Whoever talks there, and what the API answers where somebody opens it in a browser."""
    workspace = world.session.workspace
    Session.objects.filter(workspace=workspace, parent=None).update(user=world.owner)
    chats = [
        reverse("chat", args=[workspace.slug, root.pk])
        for root in Session.objects.filter(workspace=workspace, parent=None)
    ]
    api = reverse("chat_memory:session", args=[workspace.slug, world.session.pk])
    looks = [
        watched.open(address)
        for address in (
            reverse("chat-new", args=[workspace.slug]),
            *chats,
            *(f"{chat}?before=100000" for chat in chats),
            reverse("chat_memory:workspaces"),
            api,
            *(f"{api}{below}" for below in ("messages/", "messages/1/", "branches/", "context/?messages=5")),
            f"{api}messages/?{urlencode({'id': world.payload})}",
            f"{api}messages/?{urlencode({'page_size': world.payload})}",
        )
    ]
    assert_text_alone(looks, world.payload, 5)


def test_markup_is_in_every_column_that_holds_text(world: Planted) -> None:
    """A field that is added is planted too, or this test says that it is not."""
    start = world.payload[:30]
    forms = {start, json.dumps(start, ensure_ascii=False)[1:-1]}
    lacking = [
        f"{model._meta.model_name}.{field.name}"
        for model in admins_of_the_package()
        for field in text_fields(model)
        if field.name not in CHOSEN
        and not any(form in text for text in stored_texts_of(model, field) for form in forms)
    ]
    assert lacking == []
    assert User.objects.filter(username__startswith=start).exists()


def text_fields(model: type[Model]) -> list[CharField | TextField | JSONField]:
    return [each for each in model._meta.get_fields() if isinstance(each, CharField | TextField | JSONField)]


def stored_texts_of(model: type[Model], field: Any) -> list[str]:
    """The column's values, JSON as its text."""
    values = model._default_manager.values_list(field.name, flat=True)
    return [json.dumps(value, ensure_ascii=False) if isinstance(field, JSONField) else str(value) for value in values]
