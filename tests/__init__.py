"""Everything that proves chat_memory; nothing here is shipped."""
