"""Owns the immutable records that the package's layers exchange; it must not do I/O."""

from chat_memory.records.answers import Change, Commit, Header, Json, Receipt, Slice
from chat_memory.records.asking import Address, Budget, Span
from chat_memory.records.branch import Branch, Revision, reach
from chat_memory.records.call import UnansweredCall
from chat_memory.records.ids import uuid7, uuid7_texts
from chat_memory.records.message import MESSAGE_KEYS, Content, Message, as_utc, check_aware
from chat_memory.records.session import SessionRecord
from chat_memory.records.summary import Claim, Summary
from chat_memory.records.transcript import Transcript, TranscriptBranch, TranscriptSummary

__all__ = [
    "MESSAGE_KEYS",
    "Address",
    "Branch",
    "Budget",
    "Change",
    "Claim",
    "Commit",
    "Content",
    "Header",
    "Json",
    "Message",
    "Receipt",
    "Revision",
    "SessionRecord",
    "Slice",
    "Span",
    "Summary",
    "Transcript",
    "TranscriptBranch",
    "TranscriptSummary",
    "UnansweredCall",
    "as_utc",
    "check_aware",
    "reach",
    "uuid7",
    "uuid7_texts",
]
