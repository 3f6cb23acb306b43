"""Owns histories, managers and nodes with the names of nadoo Flow Core's documents, over ``conversation()``."""

from chat_memory.flow.base import BaseChatHistory
from chat_memory.flow.branching import BranchableHistory
from chat_memory.flow.cached import CachedHistory
from chat_memory.flow.database import DatabaseAdapter, DatabaseChatHistory, DjangoDatabaseAdapter
from chat_memory.flow.factories import (
    create_database_history_manager,
    create_inmemory_history_manager,
    create_redis_history_manager,
)
from chat_memory.flow.lazy import LazyHistory
from chat_memory.flow.managers import SessionHistoryManager
from chat_memory.flow.memory import InMemoryChatHistory
from chat_memory.flow.multimodal import MultiModalHistory
from chat_memory.flow.nodes import ChatHistoryNode
from chat_memory.flow.redis import RedisChatHistory
from chat_memory.flow.relevance import ContextAwareHistory
from chat_memory.flow.retention import cleanup_old_sessions
from chat_memory.flow.summarizing import SummarizingHistory
from chat_memory.flow.tenants import TenantSessionManager
from chat_memory.flow.window import SlidingWindowChatHistory
from chat_memory.records import Message

__all__ = [
    "BaseChatHistory",
    "BranchableHistory",
    "CachedHistory",
    "ChatHistoryNode",
    "ContextAwareHistory",
    "DatabaseAdapter",
    "DatabaseChatHistory",
    "DjangoDatabaseAdapter",
    "InMemoryChatHistory",
    "LazyHistory",
    "Message",
    "MultiModalHistory",
    "RedisChatHistory",
    "SessionHistoryManager",
    "SlidingWindowChatHistory",
    "SummarizingHistory",
    "TenantSessionManager",
    "cleanup_old_sessions",
    "create_database_history_manager",
    "create_inmemory_history_manager",
    "create_redis_history_manager",
]
