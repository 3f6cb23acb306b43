"""What only PostgreSQL has: the tenant's foreign key, the index over time and the room in pages. 0001 must be committed before it."""

from django.db import migrations

TENANT_KEY = "chat_memory_message_tenant"
SESSION_KEY = """
SELECT conname FROM pg_constraint
WHERE conrelid = 'chat_memory_message'::regclass AND contype = 'f' AND array_length(conkey, 1) = 1
  AND confrelid = 'chat_memory_session'::regclass"""


def bind_tenant(apps, schema_editor):
    """A message's session must be of the message's workspace; stronger than the key it replaces."""
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
    """The weaker key of 0001 returns."""
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute(f"ALTER TABLE chat_memory_message DROP CONSTRAINT {TENANT_KEY}")
    message = apps.get_model("chat_memory", "Message")
    schema_editor.execute(
        schema_editor._create_fk_sql(message, message._meta.get_field("session"), "_fk_%(to_table)s_%(to_column)s")
    )


def index_time(apps, schema_editor):
    """BRIN: messages arrive in time order, so a few pages find an old range. Django's own would need an app more."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("CREATE INDEX chat_memory_message_time ON chat_memory_message USING brin (created_at)")


def drop_time(apps, schema_editor):
    """The way back."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX chat_memory_message_time")


def leave_room(apps, schema_editor):
    """Room in each page of sessions, so that an append's new version of a row lies beside the old one (heap-only)."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE chat_memory_session SET (fillfactor = 70)")


def take_room(apps, schema_editor):
    """The way back."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE chat_memory_session RESET (fillfactor)")


class Migration(migrations.Migration):
    """Database only: the models stay as they are."""

    dependencies = [("chat_memory", "0001_initial")]

    operations = [
        migrations.RunPython(bind_tenant, release_tenant),
        migrations.RunPython(index_time, drop_time),
        migrations.RunPython(leave_room, take_room),
    ]
