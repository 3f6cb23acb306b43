"""Owns the rules for feedback: which votes there are, how long a comment may be, which model a message names; pure."""

from __future__ import annotations

from chat_memory.exceptions import ValidationError
from chat_memory.records import Message, Verdict
from chat_memory.rules.json_values import shown, unstorable
from chat_memory.rules.names import NAME_LENGTH, check_text, plain

VOTES = (1, -1)
COMMENT_LENGTH = 2_000
_MODEL = "model"


def verdict(vote: object, comment: object = "") -> Verdict:
    """The checked vote and comment; a blank comment becomes "".

    Raises:
        ValidationError: the vote is neither 1 nor -1, or the comment is not text, is too long or cannot be stored.
    """
    if isinstance(vote, bool) or not isinstance(vote, int) or vote not in VOTES:
        raise ValidationError(f"must be 1 or -1, not {shown(vote)}", field="vote")
    if not isinstance(comment, str):
        raise ValidationError(f"must be text, not {type(comment).__name__}", field="comment")
    check_text(comment, "comment", COMMENT_LENGTH)
    return Verdict(int(vote), str(plain(comment)) if comment.strip() else "")


def model_of(message: Message) -> str:
    """The language model that a message names, as ``model`` in ``extra`` or else in its metadata; "" for none."""
    for fields in (message.extra, message.metadata):
        name = (fields or {}).get(_MODEL)
        if isinstance(name, str) and 1 <= len(name) <= NAME_LENGTH and not unstorable(name):
            return name
    return ""
