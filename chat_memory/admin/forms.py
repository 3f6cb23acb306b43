"""Owns the form fields and forms of the admin: they turn the package's errors into form errors, and write nothing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.forms.fields import InvalidJSONInput
from django.utils.translation import gettext_lazy as _

from chat_memory.exceptions import ValidationError
from chat_memory.history.stamping import limits
from chat_memory.history.validation import check_metadata, check_session_fields
from chat_memory.models import Session, Workspace

if TYPE_CHECKING:
    SessionModelForm = forms.ModelForm[Session]
    WorkspaceModelForm = forms.ModelForm[Workspace]
else:
    SessionModelForm = WorkspaceModelForm = forms.ModelForm


class MetadataField(forms.JSONField):
    """A JSON object, shown indented; what Python's parser refuses for its depth or size is an error, not a crash."""

    def __init__(self, **kwargs: Any) -> None:
        look = {"rows": 8, "cols": 60, "class": "vLargeTextField cm-code", "spellcheck": "false"}
        super().__init__(required=False, widget=forms.Textarea(attrs=look), **kwargs)

    def to_python(self, value: Any) -> Any:
        """The parsed value; empty text is an empty object."""
        if value in self.empty_values:
            return {}
        try:
            return super().to_python(value)
        except (RecursionError, ValueError):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid", params={"value": "…"}) from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether it is another value; one that cannot even be compared is."""
        try:
            return super().has_changed(initial, data)
        except (RecursionError, forms.ValidationError):
            return True

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was typed, to the letter, so that it can be corrected."""
        return initial if self.disabled or data is None else InvalidJSONInput(data)

    def prepare_value(self, value: Any) -> Any:
        """Indented text, other scripts readable."""
        if isinstance(value, InvalidJSONInput):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)


class TagsField(forms.CharField):
    """A list of tags, one per line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, widget=forms.Textarea(attrs={"rows": 3, "cols": 60}), **kwargs)

    def to_python(self, value: Any) -> Any:
        """The lines that are not blank."""
        return [tag for line in (super().to_python(value) or "").split("\n") if (tag := line.strip())]

    def prepare_value(self, value: Any) -> Any:
        """The tags as lines; what was typed stays as it is."""
        return "\n".join(map(str, value)) if isinstance(value, list) else value


class SessionForm(SessionModelForm):
    """What of a session may be edited; the conversation's own rules judge it."""

    tags = TagsField(label=_("Tags"), help_text=_("One per line."))
    metadata = MetadataField(label=_("Metadata"), help_text=_("A JSON object."))

    class Meta:
        model = Session
        fields = ("title", "tags", "metadata", "pinned", "archived_at", "expires_at")

    def changes(self) -> dict[str, Any]:
        """The fields that differ from what was shown, as ``Conversation.update`` takes them."""
        return {name: self.cleaned_data[name] for name in self.changed_data if name in self.cleaned_data}

    def clean(self) -> dict[str, Any]:
        """Check each changed field by itself, so that every error shows at once."""
        super().clean()
        for name, value in self.changes().items():
            try:
                check_session_fields({name: value}, limits())
            except ValidationError as error:
                _report(self, error)
        return self.cleaned_data


class WorkspaceForm(WorkspaceModelForm):
    """A workspace; its metadata keeps to the limits that hold for every metadata."""

    metadata = MetadataField(label=_("Metadata"), help_text=_("A JSON object."))

    class Meta:
        model = Workspace
        fields = ("slug", "name", "metadata")

    def clean(self) -> dict[str, Any]:
        """Check the metadata, and by Django whether the slug is free."""
        super().clean()
        if "metadata" in self.cleaned_data:
            try:
                check_metadata(self.cleaned_data["metadata"], limits())
            except ValidationError as error:
                _report(self, error)
        return self.cleaned_data


def _report(form: forms.BaseForm, error: ValidationError) -> None:
    """Show the error at the field it names; its path says which element."""
    name = re.split(r"[.\[]", error.field)[0]
    form.add_error(name if name in form.fields else None, str(error))
