"""The addresses of the admin's pages, from the admin itself: a page that is added is there without being named."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import ModelAdmin, site
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import URLPattern, reverse

LABEL = "chat_memory"


def admins_of_the_package() -> dict[type[Model], "ModelAdmin[Any]"]:
    """The package's pages by their model."""
    return {model: page for model, page in site._registry.items() if model._meta.app_label == LABEL}


def pages_of_a_list(model_admin: "ModelAdmin[Any]") -> list[str]:
    """The addresses that name no row."""
    return [reverse(f"admin:{pattern.name}") for pattern in _named(model_admin) if not pattern.pattern.converters]


def pages_of_a_row(model_admin: "ModelAdmin[Any]", pk: Any) -> list[str]:
    """The addresses that name a row, Django's old form without a page's name among them."""
    named = [reverse(f"admin:{pattern.name}", args=[quote(pk)]) for pattern in _named(model_admin, of_a_row=True)]
    return [*named, named[0].rpartition("/")[0].rpartition("/")[0] + "/"]


def list_page(model: type[Model]) -> str:
    """The address of a model's list."""
    return reverse(f"admin:{LABEL}_{model._meta.model_name}_changelist")


def _named(model_admin: "ModelAdmin[Any]", *, of_a_row: bool = False) -> Iterator[URLPattern]:
    for pattern in model_admin.get_urls():
        if pattern.name and bool(pattern.pattern.converters) is of_a_row:
            yield pattern
