"""Owns the table of members on a workspace's page: how many rows it has, and how a row is shown and read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet
from django.utils.html import format_html

from chat_memory.models import WorkspaceMember

if TYPE_CHECKING:
    MemberModelForm = forms.ModelForm[WorkspaceMember]
    MemberModelFormSet = forms.BaseInlineFormSet[Any, Any, Any]
else:
    MemberModelForm = forms.ModelForm
    MemberModelFormSet = forms.BaseInlineFormSet

LISTED = 50
"""The table shows only the first this many members; the list of members has all."""
MOST_FORMS = 100
"""The most rows that the submitted table may have, new ones included; Django would take 2,000."""
_DIGITS = 18


class UserName(forms.Widget):
    """The name of a user as text; Django's widgets would ask the database for each row."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:  # noqa: ARG002  # Django's names
        """The name alone: the form does not read it back."""
        return format_html('<span dir="auto">{}</span>', self._name)


class MemberForm(MemberModelForm):
    """A row of the table; the user of an existing membership cannot be changed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.fields.get("user")
        if user is not None and self.instance.pk is not None:
            user.disabled = True
            user.widget = UserName(self.instance.user_name)


class MemberFormSet(MemberModelFormSet):
    """The rows of the table: the first LISTED members, or, when it is submitted, the members it was shown with."""

    def get_queryset(self) -> QuerySet[Any]:
        """The memberships of the table."""
        members = super().get_queryset()
        if not hasattr(self, "_cut"):
            self._cut = members.filter(pk__in=self._sent()) if self.is_bound else members[:LISTED]
        return self._cut

    def _sent(self) -> list[int]:
        sent = (self.data.get(f"{self.add_prefix(index)}-id", "") for index in range(self.initial_form_count()))
        return [int(pk) for pk in sent if pk.isascii() and pk.isdigit() and len(pk) <= _DIGITS]
