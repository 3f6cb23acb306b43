"""Owns how long conversations are kept, and the removal of those that are due."""

from chat_memory.maintenance.retention.cleanup import BATCH_SIZE, Report, clean_up
from chat_memory.maintenance.retention.policy import Doomed, preview

__all__ = ["BATCH_SIZE", "Doomed", "Report", "clean_up", "preview"]
