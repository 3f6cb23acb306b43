"""Adds what only PostgreSQL has: the tenant's foreign key, a BRIN index on time, and a fill factor.

It is a migration of its own because 0001 must be committed before it.
"""

from django.db import migrations

TENANT_KEY = "chat_memory_message_tenant"
SESSION_KEY = """
SELECT conname FROM pg_constraint
WHERE conrelid = 'chat_memory_message'::regclass AND contype = 'f' AND array_length(conkey, 1) = 1
  AND confrelid = 'chat_memory_session'::regclass"""


def bind_tenant(apps, schema_editor):
    """Replace the foreign key on the session by one on (workspace, session), so that both must belong together."""
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(SESSION_KEY)
        weaker = [name for (name,) in cursor.fetchall()]
    for name in weaker:
        schema_editor.execute(f"ALTER TABLE chat_memory_message DROP CONSTRAINT {schema_editor.quote_name(name)}")
    schema_editor.execute(
        f"ALTER TABLE chat_memory_message ADD CONSTRAINT {TENANT_KEY} FOREIGN KEY (workspace_id, session_id) "
        "REFERENCES chat_memory_session (workspace_id, id) DEFERRABLE INITIALLY DEFERRED"
    )


def release_tenant(apps, schema_editor):
    """Restore the foreign key of 0001."""
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute(f"ALTER TABLE chat_memory_message DROP CONSTRAINT {TENANT_KEY}")
    message = apps.get_model("chat_memory", "Message")
    schema_editor.execute(
        schema_editor._create_fk_sql(message, message._meta.get_field("session"), "_fk_%(to_table)s_%(to_column)s")
    )


def index_time(apps, schema_editor):
    """Add a BRIN index: messages arrive in time order, so an old range of time is in few pages.

    Django's own ``BrinIndex`` would require the app ``django.contrib.postgres``.
    """
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("CREATE INDEX chat_memory_message_time ON chat_memory_message USING brin (created_at)")


def drop_time(apps, schema_editor):
    """Drop the BRIN index."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX chat_memory_message_time")


def leave_room(apps, schema_editor):
    """Leave room in each page of sessions for the new version of a row, so that appends are heap-only updates."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE chat_memory_session SET (fillfactor = 70)")


def take_room(apps, schema_editor):
    """Reset the fill factor."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE chat_memory_session RESET (fillfactor)")


class Migration(migrations.Migration):
    """Changes the database only; the state of the models stays as it is."""

    dependencies = [("chat_memory", "0001_initial")]

    operations = [
        migrations.RunPython(bind_tenant, release_tenant),
        migrations.RunPython(index_time, drop_time),
        migrations.RunPython(leave_room, take_room),
    ]
