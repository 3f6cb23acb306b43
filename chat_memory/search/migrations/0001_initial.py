"""The table of the index, and the index itself in each database's own SQL: GIN on PostgreSQL, FTS5 on SQLite."""

import chat_memory.search.models
from django.db import migrations, models

TABLE = "chat_memory_search_entry"
FTS = "chat_memory_search_fts"
GIN = "chat_memory_search_words"
# FTS5 keeps no copy of the texts: it reads them from the table. These triggers keep its index equal to the table, as
# SQLite's documentation describes for external content tables; nothing else writes to it.
DELETED = f"INSERT INTO {FTS} ({FTS}, rowid, words, workspace_id) VALUES ('delete', old.message_id, old.words, old.workspace_id);"
INSERTED = f"INSERT INTO {FTS} (rowid, words, workspace_id) VALUES (new.message_id, new.words, new.workspace_id);"
ON_SQLITE = (
    f"""CREATE VIRTUAL TABLE {FTS} USING fts5(
      words, workspace_id, content='{TABLE}', content_rowid='message_id', tokenize='unicode61 remove_diacritics 0')""",
    f"CREATE TRIGGER {FTS}_insert AFTER INSERT ON {TABLE} BEGIN {INSERTED} END",
    f"CREATE TRIGGER {FTS}_delete AFTER DELETE ON {TABLE} BEGIN {DELETED} END",
    f"CREATE TRIGGER {FTS}_update AFTER UPDATE ON {TABLE} BEGIN {DELETED} {INSERTED} END",
)


def index_words(apps, schema_editor):
    """Create the index over words."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"CREATE INDEX {GIN} ON {TABLE} USING gin (words)")
        return
    for statement in ON_SQLITE:
        schema_editor.execute(statement)
    if schema_editor.connection.Database.sqlite_version_info >= (3, 42):  # otherwise the first removal sets it
        schema_editor.execute(f"INSERT INTO {FTS} ({FTS}, rank) VALUES ('secure-delete', 1)")


def drop_index(apps, schema_editor):
    """Undo ``index_words``."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX {GIN}")
        return
    for name in ("insert", "delete", "update"):
        schema_editor.execute(f"DROP TRIGGER {FTS}_{name}")
    schema_editor.execute(f"DROP TABLE {FTS}")


class Migration(migrations.Migration):
    initial = True

    dependencies = [("chat_memory", "0002_postgresql")]

    operations = [
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("message_id", models.BigIntegerField(primary_key=True, serialize=False, verbose_name="message")),
                ("workspace_id", models.BigIntegerField(verbose_name="workspace")),
                ("session_id", models.UUIDField(verbose_name="session")),
                ("seq", models.BigIntegerField(verbose_name="position")),
                ("language", models.CharField(max_length=127, verbose_name="language")),
                ("words", chat_memory.search.models.WordsField(verbose_name="words")),
            ],
            options={
                "verbose_name": "entry of the search index",
                "verbose_name_plural": "entries of the search index",
                "constraints": [models.UniqueConstraint(fields=("session_id", "seq"), name="chat_memory_search_place")],
            },
        ),
        migrations.RunPython(index_words, drop_index),
    ]
