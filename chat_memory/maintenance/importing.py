"""Owns the public import path of ``import_conversations``; the code is in ``transfer`` and ``formats``."""

from chat_memory.maintenance.transfer.importing import Fault, Report, import_conversations

__all__ = ["Fault", "Report", "import_conversations"]
