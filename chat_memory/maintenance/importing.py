"""Owns the address under which users import the import; its rooms are ``transfer`` and ``formats``."""

from chat_memory.maintenance.transfer.importing import Fault, Report, import_conversations

__all__ = ["Fault", "Report", "import_conversations"]
