from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [("chat_memory", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="MessageNote",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("session_id", models.UUIDField()),
                ("seq", models.BigIntegerField()),
                ("text", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="SessionNote",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.TextField()),
                (
                    "session",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=models.deletion.DO_NOTHING,
                        related_name="+",
                        to="chat_memory.session",
                    ),
                ),
            ],
        ),
    ]
