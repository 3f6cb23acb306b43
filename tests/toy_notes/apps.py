"""The start of the toy app: its tables are registered as dependents of ours."""

from django.apps import AppConfig


class ToyNotesConfig(AppConfig):
    """The Django app ``toy_notes``."""

    name = "tests.toy_notes"
    label = "toy_notes"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have the notes removed with the sessions and messages they are about."""
        from chat_memory.storage.orm.removal import dependent  # noqa: PLC0415  # the models are ready by now
        from tests.toy_notes.models import MessageNote, SessionNote, note_texts, record  # noqa: PLC0415

        dependent(SessionNote, by="session", after_commit=record)
        dependent(MessageNote, by="message", before=note_texts, after_commit=record)
