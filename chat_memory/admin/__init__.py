"""Owns the admin; importing this package registers its pages with Django."""

from chat_memory.admin.pages.feedback import FeedbackAdmin
from chat_memory.admin.pages.members import WorkspaceMemberAdmin
from chat_memory.admin.pages.messages import MessageAdmin
from chat_memory.admin.pages.sessions import SessionAdmin
from chat_memory.admin.pages.workspaces import WorkspaceAdmin

__all__ = ["FeedbackAdmin", "MessageAdmin", "SessionAdmin", "WorkspaceAdmin", "WorkspaceMemberAdmin"]
