"""The table of embeddings; on a PostgreSQL with pgvector, their column gets pgvector's type."""

import chat_memory.vectors.models
from django.db import DatabaseError, migrations, models, transaction

TABLE = "chat_memory_vectors_embedding"


def use_pgvector(apps, schema_editor):
    """Create the extension if the server has it and this user may; otherwise the column stays an array."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regtype('vector'), count(*) FROM pg_available_extensions WHERE name = 'vector'")
        kind, available = cursor.fetchone()
        if kind is None and available:
            try:
                with transaction.atomic(using=connection.alias):
                    cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
            except DatabaseError:  # only a superuser may; chat_memory.W007 says so
                return
            cursor.execute("SELECT to_regtype('vector')")  # None if it is in a schema outside of the search path
            (kind,) = cursor.fetchone()
    if kind is not None:
        schema_editor.execute(f"ALTER TABLE {TABLE} ALTER COLUMN vector TYPE vector USING vector::vector")


class Migration(migrations.Migration):
    initial = True

    dependencies = [("chat_memory", "0002_postgresql")]

    operations = [
        migrations.CreateModel(
            name="Embedding",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="id")),
                ("message_id", models.BigIntegerField(verbose_name="message")),
                ("workspace_id", models.BigIntegerField(verbose_name="workspace")),
                ("session_id", models.UUIDField(verbose_name="session")),
                ("seq", models.BigIntegerField(verbose_name="position")),
                ("dimensions", models.IntegerField(verbose_name="dimensions")),
                ("model", models.CharField(max_length=255, verbose_name="model")),
                ("vector", chat_memory.vectors.models.VectorField(null=True, verbose_name="vector")),
            ],
            options={
                "verbose_name": "embedding",
                "verbose_name_plural": "embeddings",
                "constraints": [
                    models.UniqueConstraint(fields=("session_id", "seq", "model"), name="chat_memory_vectors_place")
                ],
            },
        ),
        migrations.RunPython(use_pgvector, migrations.RunPython.noop),
    ]
