"""Owns the base class of the package's admin pages: row scope, bounded lists, extra pages, access across workspaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial, wraps
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from django.contrib import admin
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from chat_memory.admin.rows import ReadsWhereItWrites
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
    """A paginator over the first ``ceiling`` rows only, so that no page counts a whole table."""

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


class ExtraPage(NamedTuple):
    """An admin page of a model beyond Django's own.

    Attributes:
        route: the URL route below the model's address.
        name: the URL name; like Django's own names it begins with the app and the model.
        view: called with the model's admin, the request and the route's arguments.
        kwargs: further keyword arguments for the view.
    """

    route: str
    name: str
    view: Callable[..., HttpResponse]
    kwargs: Mapping[str, Any] = {}


class ScopedAdmin(ReadsWhereItWrites, ModelAdmin):
    """A model admin that shows only the rows the user's memberships allow, from all of the user's workspaces.

    A subclass implements ``reach`` and may list further pages in ``extra_pages``.
    """

    paginator: ClassVar[Any] = NearPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    extra_pages: ClassVar[tuple[ExtraPage, ...]] = ()

    def reach(self, scope: Scope) -> Q:
        """The condition for the rows that a scope covers; every subclass must implement it."""
        raise NotImplementedError

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows the user may see."""
        return super().get_queryset(request).filter(self.reach(scope_of(request)))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Django's list; redirects to the unfiltered list if the database cannot evaluate a filter's value."""
        try:
            return super().changelist_view(request, extra_context)
        except DataError:  # a NUL in the address, or an invalid regular expression
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Django's search, with NULs removed: the search form refuses them, the autocomplete view does not."""
        return super().get_search_results(request, queryset, search_term.replace("\x00", ""))

    def get_urls(self) -> list[URLPattern]:
        """The URL patterns of all pages, each view wrapped in ``across_workspaces``.

        The wrapper is enough for lists: they are evaluated in the view, before the response renders.
        """
        patterns = [*map(self._pattern_of, self.extra_pages), *super().get_urls()]
        for pattern in patterns:
            pattern.callback = _spanning(pattern.callback)
        return patterns

    def _pattern_of(self, page: ExtraPage) -> URLPattern:
        """The URL pattern of an extra page; ``admin_view`` checks the log-in, as for Django's own pages."""
        view = self.admin_site.admin_view(partial(page.view, self))
        return path(page.route, view, dict(page.kwargs), name=page.name)


def _spanning(view: View) -> View:
    @wraps(view)
    def spanning_view(*args: Any, **kwargs: Any) -> Any:
        with across_workspaces():
            return view(*args, **kwargs)

    return spanning_view
