"""Owns what every admin page of the package shares: scope, bounded lists, work across workspaces; it knows no model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.paginator import Paginator
from django.db import DataError, router
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern

from chat_memory.admin.scope import Scope, scope_of
from chat_memory.storage.tenancy import across_workspaces

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    RowPaginator = Paginator[Any]
else:
    ModelAdmin = admin.ModelAdmin
    RowPaginator = Paginator

View = Callable[..., Any]


class NearPaginator(RowPaginator):
    """Pages over the first rows alone: it looks at no more than ``ceiling`` keys, so it never counts a table."""

    ceiling = 2_000

    @cached_property
    def count(self) -> int:
        """How many rows there are, at most ``ceiling``."""
        rows: Any = self.object_list
        if isinstance(rows, QuerySet):
            return len(rows.order_by().values_list("pk", flat=True)[: self.ceiling])
        return len(rows)

    @property
    def is_cut(self) -> bool:
        """Whether there may be more rows than the pages show."""
        return self.count >= self.ceiling


class ScopedAdmin(ModelAdmin):
    """An admin whose rows depend on the user's memberships and whose views may span workspaces.

    A subclass says by ``reach`` which rows a scope covers.
    """

    paginator: ClassVar[Any] = NearPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def reach(self, scope: Scope) -> Q:
        """The predicate for the rows that the scope covers."""
        raise NotImplementedError

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows the user may see, from where writes go: what is edited next must not be a replica's past."""
        rows = super().get_queryset(request).using(router.db_for_write(self.model))
        return rows.filter(self.reach(scope_of(request)))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Django's list; a filter that the database cannot even be asked for leads to the list without filters."""
        try:
            return super().changelist_view(request, extra_context)
        except DataError:  # a NUL in the address, or what is no regular expression
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Django's search; its form refuses a NUL, the suggestions for a field ask with whatever was sent."""
        return super().get_search_results(request, queryset, search_term.replace("\x00", ""))

    def extra_urls(self) -> list[URLPattern]:
        """Pages beside Django's own; their views are wrapped as Django wraps its own."""
        return []

    def get_urls(self) -> list[URLPattern]:
        """All pages, each view inside ``across_workspaces``: lists are evaluated in the view, before it renders."""
        extra = self.extra_urls()
        for pattern in extra:
            pattern.callback = self.admin_site.admin_view(pattern.callback)
        patterns = [*extra, *super().get_urls()]
        for pattern in patterns:
            pattern.callback = _spanning(pattern.callback)
        return patterns


def _spanning(view: View) -> View:
    @wraps(view)
    def spanning_view(*args: Any, **kwargs: Any) -> Any:
        with across_workspaces():
            return view(*args, **kwargs)

    return spanning_view
