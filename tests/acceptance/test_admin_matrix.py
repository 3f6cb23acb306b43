"""Staff of one workspace asks for the other's by every address and every lookup that models and admin have."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib.admin import ModelAdmin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Field, Model
from django.test import Client, RequestFactory
from django.urls import reverse

from chat_memory.storage.tenancy import across_workspaces
from tests.acceptance.admin_strangers import HIDDEN, ROLES, THEIRS, UNSEEN, Strangers, strangers
from tests.acceptance.admin_world import signed_in
from tests.admin_pages import admins_of_the_package, list_page, pages_of_a_list, pages_of_a_row

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]

ON_RELATIONS = ("exact", "startswith", "isnull")
"""What is asked beyond a relation: the path is what is refused there, so not every lookup is tried on every path."""
REFUSALS = (DisallowedModelAdminLookup, IncorrectLookupParameters)
"""How a question ends that is not answered: 400, and the list without the question. Anything else would be a 500."""
OF_LISTS = ("e=1", "all=", "_popup=1", "p=1", "p=2", "o=1.2.3", "_facets=True", "q=STRANGE", f"workspace={THEIRS}")


least_and_most = pytest.mark.parametrize("world", ["member", "admin"], indirect=True)
"""Where there is much to ask, it is asked by the role that reads least and by the one that may most."""


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django logs each refusal with its traceback, and there are thousands."""
    monkeypatch.setattr(logging.getLogger("django.security"), "disabled", True)
    monkeypatch.setattr(logging.getLogger("django.request"), "disabled", True)


@pytest.fixture(name="world", params=ROLES)
def _world(request: pytest.FixtureRequest) -> Strangers:
    return strangers(request.param)


def pages() -> Iterator[tuple[type[Model], ModelAdmin[Any]]]:
    yield from admins_of_the_package().items()


def assert_nothing_told(client: Client, address: str) -> Any:
    """Neither the answer nor the page that it leads to holds a hidden word that the question has not."""
    response = client.get(address, follow=True)
    assert response.status_code in {200, 400, 403, 404}, address
    words = [word for word in (HIDDEN, THEIRS) if word not in address]
    assert [word for word in words if word in response.text] == [], address
    return response


@least_and_most
def test_b9_every_page_of_every_hidden_row(world: Strangers) -> None:
    """By the address of each page that a model has; what is told is what is told of a row that does not exist."""
    client = signed_in(world.me)
    for model, page in pages():
        hidden = world.hidden[str(model._meta.model_name)]
        assert hidden
        for pk in hidden:
            for address in pages_of_a_row(page, pk):
                assert client.get(address).status_code in {302, 403, 404}, address
                assert_nothing_told(client, f"{address}?_popup=1&_to_field=id&_changelist_filters=q%3Dx&at=1")


def test_b9_every_list_with_every_switch(world: Strangers) -> None:
    """Nothing that is hidden is listed or counted, whatever Django's list takes besides lookups."""
    client = signed_in(world.me)
    addresses = [reverse("admin:index"), reverse("admin:app_list", args=["chat_memory"])]
    for model, page in pages():
        addresses += pages_of_a_list(page)
        switches = [*OF_LISTS, *(f"_to_field={field.name}" for field in model._meta.get_fields())]
        addresses += [f"{list_page(model)}?{switch}" for switch in switches]
    for address in addresses:
        context = assert_nothing_told(client, address).context or {}
        assert_listed_alone(world, context.get("cl"))


def assert_listed_alone(world: Strangers, shown: ChangeList | None) -> None:
    """A list has rows that the role sees, and counts no others."""
    if shown is not None:
        seen = world.seen[str(shown.model._meta.model_name)]
        assert {row.pk for row in shown.result_list} <= seen
        counts = [shown.result_count, shown.full_result_count or 0, shown.paginator.count]
        assert max(counts) <= len(seen), (shown.params, counts)


def asked_of_list(page: ModelAdmin[Any], world: Strangers, query: dict[str, str]) -> ChangeList | None:
    """The list that the admin answers with, not yet as a page; None where it refuses the question."""
    request = RequestFactory().get("/", query)
    request.user = world.me
    try:
        with transaction.atomic(), across_workspaces():
            return page.get_changelist_instance(request)
    except REFUSALS:
        return None


@least_and_most
def test_b9_every_lookup_of_every_field(world: Strangers) -> None:
    """Each column by each of its lookups, with values of rows that are hidden: they stay out, and are not counted."""
    asked = 0
    for model, page in pages():
        hidden = model._default_manager.filter(pk__in=world.hidden[str(model._meta.model_name)])
        for field in model._meta.concrete_fields:
            for lookup, value in local_lookups(field, hidden):
                assert_listed_alone(world, asked_of_list(page, world, {lookup: value}))
                asked += 1
    assert asked > 300


def local_lookups(field: Any, hidden: Any) -> Iterator[tuple[str, str]]:
    """Each lookup of a column, with the value that a hidden row has there, and the keys of an object in it."""
    (value,) = list(hidden.exclude(**{f"{field.name}__isnull": True}).values_list(field.attname, flat=True)[:1]) or [
        "1"
    ]
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    for name in field.get_lookups():
        yield f"{field.attname}__{name}", {"isnull": "0", "range": f"{text},{text}"}.get(name, text)
    if isinstance(value, dict):
        yield from ((f"{field.name}__{key}", str(below)) for key, below in value.items())


@least_and_most
def test_b9_every_lookup_across_relations(world: Strangers) -> None:
    """Forwards and backwards over one relation and two: refused, or about the key of a related row alone."""
    refused = 0
    for model, page in pages():
        for path, is_key in paths_beyond(model):
            for lookup in ON_RELATIONS if path.count("__") == 1 else ON_RELATIONS[:1]:
                value = "0" if lookup == "isnull" else UNSEEN
                shown = asked_of_list(page, world, {f"{path}__{lookup}": value})
                refused += shown is None
                assert shown is None or is_key, (model, path, lookup)
                assert_listed_alone(world, shown)
    assert refused > 500


def paths_beyond(model: type[Model], depth: int = 2) -> Iterator[tuple[str, bool]]:
    """The columns that can be reached over relations, and whether one is but the key of a row next to it."""
    field: Any
    for field in model._meta.get_fields():
        if not field.is_relation or field.related_model is None or field.related_model == "self":
            continue
        related: Any = field.related_model
        for below in related._meta.concrete_fields:
            yield f"{field.name}__{below.name}", below.primary_key
        if depth > 1:
            yield from ((f"{field.name}__{path}", False) for path, _is_key in paths_beyond(related, depth - 1))


def test_b9_suggestions_for_every_field(world: Strangers) -> None:
    """Django suggests rows for any foreign key that somebody names, of any model."""
    client, offered = signed_in(world.me), 0
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if not isinstance(field, Field) or not field.is_relation:
                continue
            for term in ("", UNSEEN, "a"):
                names = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
                query = urlencode({**names, "field_name": field.name, "term": term})
                response = assert_nothing_told(client, f"{reverse('admin:autocomplete')}?{query}")
                offered += "results" in response.text and bool(response.json()["results"])
    assert offered > 0


def test_b9_the_way_from_a_row_to_its_page_on_the_site(world: Strangers) -> None:
    """Django's redirect asks for no permission, so a row must have no address that tells something."""
    client = signed_in(world.me)
    for content_type in ContentType.objects.all():
        for pk in world.hidden.get(content_type.model, [1]):
            address = reverse("admin:view_on_site", args=[content_type.pk, pk])
            assert client.get(address).status_code == 404
            assert_nothing_told(client, address)
