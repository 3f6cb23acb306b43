"""Owns the tables, one module per model with its QuerySet; it must not import from layers above."""

from chat_memory.models.attachment import Attachment, AttachmentReference
from chat_memory.models.changes import MessageChange, Tombstone
from chat_memory.models.draft import Draft
from chat_memory.models.feedback import Feedback
from chat_memory.models.message import Message
from chat_memory.models.revision import Redaction, Revision
from chat_memory.models.session import Session
from chat_memory.models.summary import Summary
from chat_memory.models.token import DatabaseToken
from chat_memory.models.turn import Turn
from chat_memory.models.undropped import UndroppedEntry
from chat_memory.models.workspace import Workspace, WorkspaceMember

__all__ = [
    "Attachment",
    "AttachmentReference",
    "DatabaseToken",
    "Draft",
    "Feedback",
    "Message",
    "MessageChange",
    "Redaction",
    "Revision",
    "Session",
    "Summary",
    "Tombstone",
    "Turn",
    "UndroppedEntry",
    "Workspace",
    "WorkspaceMember",
]
