"""Owns the forms of the chat page; it must not store anything."""

from __future__ import annotations

import uuid

from django import forms

LONGEST = 20_000


class QuestionForm(forms.Form):
    """A question, with the id that makes a second submit of the same form a replay."""

    text = forms.CharField(
        label="Message",
        max_length=LONGEST,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "Write a message"}),
    )
    message_id = forms.UUIDField(initial=uuid.uuid4, widget=forms.HiddenInput)


class MessageForm(QuestionForm):
    """A question at the end of a conversation, or the first one of a new conversation."""

    chat_id = forms.UUIDField(initial=uuid.uuid4, widget=forms.HiddenInput)

    def with_fresh_id(self) -> MessageForm:
        """The same text under a new message id, for a form whose id is taken."""
        data = {"text": self.data.get("text", ""), "chat_id": self.data.get("chat_id", "")}
        return MessageForm(initial=data | {"message_id": uuid.uuid4()})


class EditForm(QuestionForm):
    """A question in other words; ``question`` is the id of the question that it replaces."""

    question = forms.CharField(widget=forms.HiddenInput)
