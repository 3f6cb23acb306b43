"""Owns the table of embeddings: a row for each message and model."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    AnyField = models.Field[Any, Any]
else:
    AnyField = models.Field


_SIZE = 4
"""Bytes of a single-precision number."""


class VectorField(AnyField):
    """The numbers of an embedding, in single precision: on SQLite little-endian bytes.

    On PostgreSQL the type is ``real[]``, or pgvector's ``vector`` if the database has the extension when the migration
    runs; PostgreSQL casts each to the other. In Python it is a list, and in a fixture JSON, which suits every database.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """The type of the column."""
        return "real[]" if connection.vendor == "postgresql" else "blob"

    def from_db_value(self, value: Any, *_of: Any) -> Any:
        """The numbers, from any form in which the database returns them."""
        return self.to_python(value)

    def to_python(self, value: Any) -> Any:
        """The numbers from bytes, as SQLite stores them, or from text, as pgvector and fixtures write them."""
        if isinstance(value, bytes):
            return list(struct.unpack(f"<{len(value) // _SIZE}f", value))
        return [float(number) for number in json.loads(value)] if isinstance(value, str) else value

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        """The numbers in the form for the database; PostgreSQL casts an array to the type of the column."""
        given = super().get_db_prep_value(value, connection, prepared)
        return given if connection.vendor == "postgresql" else stored(connection.vendor, given or ())

    def value_to_string(self, obj: models.Model) -> str:
        """The numbers in a fixture."""
        return json.dumps(self.value_from_object(obj))


class Embedding(models.Model):
    """The embedding of a message by one model. Only this app writes it; ``storage.orm.removal`` deletes it.

    Its position and ids are copies of the message's. ``vector`` is NULL for a message without words.
    """

    id = models.BigAutoField(_("id"), primary_key=True)
    message_id = models.BigIntegerField(_("message"))
    workspace_id = models.BigIntegerField(_("workspace"))
    session_id = models.UUIDField(_("session"))
    seq = models.BigIntegerField(_("position"))
    dimensions = models.IntegerField(_("dimensions"))
    model = models.CharField(_("model"), max_length=255)
    vector = VectorField(_("vector"), null=True)

    class Meta:
        app_label = "chat_memory_vectors"
        verbose_name = _("embedding")
        verbose_name_plural = _("embeddings")
        constraints = (
            models.UniqueConstraint(fields=("session_id", "seq", "model"), name="chat_memory_vectors_place"),
        )

    def __str__(self) -> str:
        return f"{self.session_id}:{self.seq}"


def stored(vendor: str, vector: Sequence[float]) -> Any:
    """The numbers in the form that a statement takes; None where there are none."""
    if not vector:
        return None
    if vendor != "postgresql":
        return struct.pack(f"<{len(vector)}f", *vector)
    return f"{{{','.join([f'{number:.9g}' for number in vector])}}}"  # as text: a list is far slower
