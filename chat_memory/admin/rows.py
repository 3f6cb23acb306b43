"""Owns which database the admin reads: the one that is written to, never a replica, because that may lag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib.admin.options import BaseModelAdmin
from django.db import router
from django.db.models import Model, QuerySet
from django.http import HttpRequest

if TYPE_CHECKING:
    ModelPage = BaseModelAdmin[Any]
else:
    ModelPage = BaseModelAdmin

Row = TypeVar("Row", bound=Model)


def rows(model: type[Row]) -> QuerySet[Row]:
    """All rows of a model, from the database it is written to: roles and edited rows must be up to date."""
    return model._default_manager.using(router.db_for_write(model))


def with_users(queryset: QuerySet[Row]) -> QuerySet[Row]:
    """The rows with their users: from the same statement, or from one more if users are in another database."""
    link: Any = queryset.model._meta.get_field("user")
    is_joined = link.elsewhere(queryset.db) is None
    return queryset.select_related("user") if is_joined else queryset.prefetch_related("user")


class ReadsWhereItWrites(ModelPage):
    """A model admin or inline that reads its rows, and the choices of its foreign keys, as ``rows`` does."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Django's queryset, on the database that is written to."""
        return super().get_queryset(request).using(router.db_for_write(self.model))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Django's form field; its choices come from the database that the related model is written to."""
        kwargs.setdefault("using", router.db_for_write(db_field.remote_field.model))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)
