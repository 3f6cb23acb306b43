"""Owns the admin's forms and form fields: they show the package's validation errors; they must not write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.forms.fields import InvalidJSONInput
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from chat_memory.admin.json_text import pretty_value
from chat_memory.admin.rows import rows
from chat_memory.exceptions import ValidationError
from chat_memory.fields import SETTABLE
from chat_memory.models import Session, Workspace
from chat_memory.rules.limits import limits
from chat_memory.rules.rights import shortened
from chat_memory.rules.session import check_metadata, check_session_fields

if TYPE_CHECKING:
    SessionModelForm = forms.ModelForm[Session]
    WorkspaceModelForm = forms.ModelForm[Workspace]
else:
    SessionModelForm = WorkspaceModelForm = forms.ModelForm

_HASHED = '"sha256:'
NEEDS_DELETION = _("This would remove the session sooner, which needs the right to delete it.")


class Digest(forms.HiddenInput):
    """A hidden field with the hash of a text, so that a long text is not on the page twice."""

    def format_value(self, value: Any) -> str:
        """The hash, as a JSON text; a form that is shown again already has it."""
        text = str(value)
        if text.startswith(_HASHED):
            return text
        return f'{_HASHED}{sha256(text.encode(errors="surrogatepass")).hexdigest()}"'


class MetadataField(forms.JSONField):
    """A JSON object, shown indented; JSON too deep or with numbers too long for Python is a form error, not a crash."""

    hidden_widget = Digest

    def __init__(self, **kwargs: Any) -> None:
        look = {"rows": 8, "cols": 60, "class": "vLargeTextField cm-code", "spellcheck": "false"}
        super().__init__(required=False, widget=forms.Textarea(attrs=look), **kwargs)

    def to_python(self, value: Any) -> Any:
        """The parsed value; empty text gives an empty object."""
        if value in self.empty_values:
            return {}
        try:
            return super().to_python(value)
        except (RecursionError, ValueError):
            raise self._invalid() from None

    def run_validators(self, value: Any) -> None:
        """Django's, which encode the value again; Python may parse JSON that is too deep to encode."""
        try:
            super().run_validators(value)
        except RecursionError:
            raise self._invalid() from None

    def _invalid(self) -> forms.ValidationError:
        """Django's error for invalid JSON, without the value, which may be very long."""
        return forms.ValidationError(self.error_messages["invalid"], code="invalid", params={"value": "…"})

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the value differs from the initial one; a value that cannot be compared counts as changed."""
        try:
            if isinstance(initial, str):  # the hash of what the page showed
                return Digest().format_value(self.prepare_value(self.to_python(data))) != f'"{initial}"'
            return super().has_changed(initial, data)
        except (RecursionError, forms.ValidationError):
            return True

    def bound_data(self, data: Any, initial: Any) -> Any:
        """The submitted text, unchanged, so that the user can correct it."""
        return initial if self.disabled or data is None else InvalidJSONInput(data)

    def prepare_value(self, value: Any) -> Any:
        """The value as indented JSON text with readable non-ASCII characters."""
        if isinstance(value, InvalidJSONInput):
            return value
        return pretty_value(value)


class TagsField(forms.CharField):
    """A list of tags, one per line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, widget=forms.Textarea(attrs={"rows": 3, "cols": 60}), **kwargs)

    def to_python(self, value: Any) -> Any:
        """The tags: every line that is not blank, without surrounding spaces."""
        return [tag for line in (super().to_python(value) or "").split("\n") if (tag := line.strip())]

    def prepare_value(self, value: Any) -> Any:
        """The tags as lines; submitted text stays unchanged."""
        return "\n".join(map(str, value)) if isinstance(value, list) else value


class SessionForm(SessionModelForm):
    """The editable fields of a session, checked by the rules that ``Conversation.update`` also applies.

    A change that would let retention remove the session sooner is an error, unless ``may_delete`` is True.
    """

    may_delete: ClassVar[bool] = False
    tags = TagsField(label=_("Tags"), help_text=_("One per line."))
    metadata = MetadataField(label=_("Metadata"), help_text=_("A JSON object."))

    class Meta:
        model = Session
        fields = ("title", "tags", "metadata", "pinned", "archived_at", "expires_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            # The page also has the initial values as hidden fields. So what others have changed since then does not
            # count as a change by this user, and no title comes back that was removed with its message.
            shown = self.add_initial_prefix(name)
            field.show_hidden_initial = not self.is_bound or any(each.startswith(shown) for each in self.data)

    def changes(self) -> dict[str, Any]:
        """The fields whose values the user has changed, as keyword arguments for ``Conversation.update``."""
        return {name: self.cleaned_data[name] for name in self.changed_data if name in self.cleaned_data}

    def clean(self) -> dict[str, Any]:
        """Check each changed field by itself, so that all errors are shown at once."""
        super().clean()
        stored = {name: getattr(self.instance, name) for name in SETTABLE}
        for name, value in self.changes().items():
            try:
                check_session_fields({name: value}, limits())
            except ValidationError as error:
                _report(self, error)
            else:
                if self.shortened(stored, {name: value}):
                    self.add_error(name, NEEDS_DELETION)
        return self.cleaned_data

    def shortened(self, stored: Mapping[str, Any], changes: Mapping[str, Any]) -> str | None:
        """The first change by which the session would be removed sooner; None if the user may delete it."""
        return None if self.may_delete else shortened(stored, changes, now())


class WorkspaceForm(WorkspaceModelForm):
    """The fields of a workspace; its metadata has the same limits as that of sessions and messages."""

    metadata = MetadataField(label=_("Metadata"), help_text=_("A JSON object."))

    class Meta:
        model = Workspace
        fields = ("slug", "name", "metadata")

    def clean(self) -> dict[str, Any]:
        """Check the metadata against the limits."""
        super().clean()
        if "metadata" in self.cleaned_data:
            try:
                check_metadata(self.cleaned_data["metadata"], limits())
            except ValidationError as error:
                _report(self, error)
        return self.cleaned_data

    def validate_unique(self) -> None:
        """Check that the slug is free, on the database that is written to; Django would check a read replica."""
        slug = self.cleaned_data.get("slug")
        if slug is not None and rows(Workspace).filter(slug=slug).exclude(pk=self.instance.pk).exists():
            self.add_error("slug", self.instance.unique_error_message(Workspace, ("slug",)))


def _report(form: forms.BaseForm, error: ValidationError) -> None:
    """Add the error to the form field it names, or to the form as a whole."""
    name = re.split(r"[.\[]", error.field)[0]
    form.add_error(name if name in form.fields else None, str(error))
