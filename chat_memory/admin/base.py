"""Owns the base class of the package's admin pages: row scope, bounded lists, extra pages, access across workspaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial, wraps
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.paginator import Paginator
from django.db import DataError, Error, router
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext

from chat_memory.admin import later
from chat_memory.admin.lookups import is_cheap
from chat_memory.admin.rows import ReadsWhereItWrites
from chat_memory.admin.scope import Scope, scope_of
from chat_memory.admin.searching import first_words
from chat_memory.exceptions import Busy, SearchTooLong
from chat_memory.storage.orm.limited import limited_time
from chat_memory.storage.orm.waiting import transaction_bounded
from chat_memory.storage.tenancy import across_workspaces

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    RowPaginator = Paginator[Any]
else:
    ModelAdmin = admin.ModelAdmin
    RowPaginator = Paginator

View = Callable[..., Any]

AT_ONCE = 200
"""The most rows that one action takes, as many as a page of a list shows."""
LARGEST_LIST = 2_000
"""The most rows of a list that its pages show."""
LONGEST_QUERY = 4_000
"""The most characters of a query string; every link of a list repeats it."""


class NearPaginator(RowPaginator):
    """A paginator over the first ``ceiling`` rows only, so that no page counts a whole table."""

    ceiling = LARGEST_LIST

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
    list_max_show_all = AT_ONCE
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    extra_pages: ClassVar[tuple[ExtraPage, ...]] = ()
    unlisted: ClassVar[tuple[str, ...]] = ()
    """The columns that lists and searches do not load, because they may be large."""

    def reach(self, scope: Scope) -> Q:
        """The condition for the rows that a scope covers; every subclass must implement it."""
        raise NotImplementedError

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows the user may see."""
        return super().get_queryset(request).filter(self.reach(scope_of(request)))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Django's form; a save waits for a lock no longer than LOCK_TIMEOUT."""
        with self._bounded(request):
            return super().changeform_view(request, object_id, form_url, extra_context)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """Django's deletion; it waits for a lock no longer than LOCK_TIMEOUT."""
        with self._bounded(request):
            return super().delete_view(request, object_id, extra_context)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Django's deletion of several rows; it waits for a lock no longer than LOCK_TIMEOUT."""
        with self._bounded(request):
            super().delete_queryset(request, queryset)

    def _bounded(self, request: HttpRequest) -> AbstractContextManager[None]:
        return transaction_bounded(router.db_for_write(self.model)) if request.method == "POST" else nullcontext()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Django's list; redirects to the unfiltered list if the database cannot evaluate a filter's value."""
        try:
            return super().changelist_view(request, extra_context)
        except DataError:  # a NUL in the address, or an invalid regular expression
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Django's rules, but refuse lookups that long stored texts make slow; the list's own filters are allowed."""
        own = {getattr(each, "parameter_name", None) for each in self.get_list_filter(request)}
        is_allowed: bool = super().lookup_allowed(lookup, value, request)
        return is_allowed and (lookup in own or is_cheap(self.model, lookup))

    def response_action(  # type: ignore[override]  # from Django 6.1 on there is a further argument
        self, request: HttpRequest, queryset: QuerySet[Any], **kwargs: Any
    ) -> Any:
        """Django's, for at most AT_ONCE rows, because the confirmation of a deletion has a form field for each row."""
        selected = request.POST.getlist(ACTION_CHECKBOX_NAME)
        across = request.POST.get("select_across", "0") != "0"
        if len(selected) > AT_ONCE or (across and len(queryset.values_list("pk", flat=True)[: AT_ONCE + 1]) > AT_ONCE):
            text = gettext("Select at most {number} rows at once: nothing was done.")
            self.message_user(request, text.format(number=AT_ONCE), messages.WARNING)
            return None
        return super().response_action(request, queryset, **kwargs)

    def matching(self, request: HttpRequest, queryset: QuerySet[Any], words: str) -> QuerySet[Any]:
        """All rows that match the words; a subclass may use an index instead of Django's search."""
        matching, _has_duplicates = super().get_search_results(request, self.searched(queryset), words)
        return matching

    def searched(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows that a search looks at; a subclass may leave some out."""
        return queryset

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The rows that Django's search finds by the first words, within bounded time; all rows without words.

        The search runs here, once, and finds at most as many rows as the paginator shows. Django calls this for every
        list and for autocompletion, so this is also where the columns of ``unlisted`` are deferred.
        """
        listed = queryset.defer(*self.unlisted)
        words, is_cut = first_words(search_term)
        if not words:
            return listed, False
        if is_cut:
            self._remark(request, gettext("Only the first words are searched for: {words}").format(words=words))
        order = self.get_ordering(request) or self.opts.ordering or ("pk",)
        try:
            with limited_time(queryset.db):
                matching = self.matching(request, queryset, words)
                found = list(matching.order_by(*order).values_list("pk", flat=True)[: self.paginator.ceiling])
        except SearchTooLong:
            self._remark(request, gettext("The search took too long and was ended: filter first, or use other words."))
            return listed.none(), False
        return listed.filter(pk__in=found), False

    def _remark(self, request: HttpRequest, text: str) -> None:
        """Show the user a message, on a list only: a message of an autocompletion would appear on some later page."""
        if request.resolver_match and str(request.resolver_match.url_name).endswith("_changelist"):
            self.message_user(request, text, messages.WARNING, fail_silently=True)

    def get_urls(self) -> list[URLPattern]:
        """The URL patterns of all pages; each view is wrapped in ``across_workspaces`` and reads its form first.

        The wrapper is enough for lists, because they are evaluated in the view, before the response renders.
        """
        patterns = [*map(self._pattern_of, self.extra_pages), *super().get_urls()]
        for pattern in patterns:
            pattern.callback = _spanning(pattern.callback)
        return patterns

    def to_field_allowed(self, request: HttpRequest, to_field: str) -> bool:
        """Django's rules, but refuse the name of a reverse relation, on which Django would raise an error."""
        field = next((each for each in self.opts.get_fields() if each.name == to_field), None)
        return bool(field and field.concrete and super().to_field_allowed(request, to_field))

    def _pattern_of(self, page: ExtraPage) -> URLPattern:
        """The URL pattern of an extra page; ``admin_view`` checks the log-in, as for Django's own pages."""
        view = self.admin_site.admin_view(partial(page.view, self))
        return path(page.route, view, dict(page.kwargs), name=page.name)


def _spanning(view: View) -> View:
    @wraps(view)
    def spanning_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if len(request.META.get("QUERY_STRING", "")) > LONGEST_QUERY:
            return HttpResponse(gettext("The address is too long."), status=414)
        _form = request.POST  # read the whole form before the log-in is checked, whichever middleware the host has
        try:
            with across_workspaces():
                return view(request, *args, **kwargs)
        except (Busy, Error) as error:
            answer = later.page_for(error, request)
            if answer is None:
                raise
            return answer

    return spanning_view
