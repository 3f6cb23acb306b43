"""Owns the immutable records that the package's layers exchange; it must not do I/O."""

from chat_memory.records.answers import Change, Commit, Header, Json, Receipt, Slice
from chat_memory.records.asking import Address, Budget, Span
from chat_memory.records.attachment import Attachment, Ref, is_sha256, is_web_address, kind_of, named, ref_of
from chat_memory.records.branch import Branch, Revision, Sibling, reach
from chat_memory.records.call import UnansweredCall
from chat_memory.records.changes import Changes, SessionChanges
from chat_memory.records.draft import Draft, Lease, NewDraft
from chat_memory.records.feedback import (
    Feedback,
    Person,
    Place as FeedbackPlace,
    Verdict,
    Votes,
    VotesOfDay,
    VotesOfModel,
)
from chat_memory.records.ids import uuid7, uuid7_texts
from chat_memory.records.message import MESSAGE_KEYS, Content, Message, MessageFields, as_utc, check_aware, text_of
from chat_memory.records.relevance import Relevant
from chat_memory.records.search import Alternative, Found, Hit, Piece, Query, Term
from chat_memory.records.session import SessionFields, SessionRecord
from chat_memory.records.summary import Claim, Summary
from chat_memory.records.transcript import Transcript, TranscriptBranch, TranscriptFeedback, TranscriptSummary
from chat_memory.records.turn import HeldTurn, OpenTurn, TurnRight

__all__ = [
    "MESSAGE_KEYS",
    "Address",
    "Alternative",
    "Attachment",
    "Branch",
    "Budget",
    "Change",
    "Changes",
    "Claim",
    "Commit",
    "Content",
    "Draft",
    "Feedback",
    "FeedbackPlace",
    "Found",
    "Header",
    "HeldTurn",
    "Hit",
    "Json",
    "Lease",
    "Message",
    "MessageFields",
    "NewDraft",
    "OpenTurn",
    "Person",
    "Piece",
    "Query",
    "Receipt",
    "Ref",
    "Relevant",
    "Revision",
    "SessionChanges",
    "SessionFields",
    "SessionRecord",
    "Sibling",
    "Slice",
    "Span",
    "Summary",
    "Term",
    "Transcript",
    "TranscriptBranch",
    "TranscriptFeedback",
    "TranscriptSummary",
    "TurnRight",
    "UnansweredCall",
    "Verdict",
    "Votes",
    "VotesOfDay",
    "VotesOfModel",
    "as_utc",
    "check_aware",
    "is_sha256",
    "is_web_address",
    "kind_of",
    "named",
    "reach",
    "ref_of",
    "text_of",
    "uuid7",
    "uuid7_texts",
]
