"""Owns the registration of the admin pages; it must not hold a page of its own."""

from chat_memory.admin.messages import MessageAdmin
from chat_memory.admin.sessions import SessionAdmin
from chat_memory.admin.workspaces import WorkspaceAdmin, WorkspaceMemberAdmin

__all__ = ["MessageAdmin", "SessionAdmin", "WorkspaceAdmin", "WorkspaceMemberAdmin"]
