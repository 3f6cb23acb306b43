"""The shapes of the API: an OpenAPI generator can show them all, and they name the fields that there are."""

from typing import Any

import msgspec
import pytest

from chat_memory.api import shapes
from chat_memory.fields import GIVEN, SESSION, SETTABLE
from chat_memory.records import Branch, SessionRecord
from chat_memory.storage.mapping import JSON_MEMBERS

pytestmark = pytest.mark.once

KEPT_BACK = {"branch", "base_seq", "deleted_at", "last_turn", "vtoken", "title_made", "key_from_client"}
"""Fields of a session that the API does not show."""


def components() -> dict[str, Any]:
    _refs, found = msgspec.json.schema_components(shapes.SHAPES, ref_template="#/components/schemas/{name}")
    return found


def test_every_shape_has_a_schema_with_a_description() -> None:
    found = components()
    assert {"SessionOut", "MessageOut", "BranchOut", "WorkspaceOut", "SessionIn", "ForkIn", "Problem"} <= found.keys()
    assert [name for name, schema in found.items() if not schema.get("description") and "enum" not in schema] == []


def test_every_shape_of_the_module_is_among_them() -> None:
    def is_shape(value: object) -> bool:
        return isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == shapes.__name__

    assert {value.__name__ for value in vars(shapes).values() if is_shape(value)} <= components().keys()


def test_shapes_name_the_fields_that_there_are() -> None:
    assert set(shapes.SessionOut.__struct_fields__) == {"id", *(field.name for field in SESSION)} - KEPT_BACK
    assert set(shapes.SessionOut.__struct_fields__) <= set(SessionRecord.__struct_fields__)
    assert set(shapes.SessionPatch.__struct_fields__) == {*SETTABLE, "archived"}
    assert set(shapes.SessionIn.__struct_fields__) == {*SETTABLE, "archived", "key", "user_key"}
    assert set(shapes.MessageIn.__struct_fields__) == {*GIVEN, "content_absent"}
    assert shapes.MessageOut.__struct_fields__ == JSON_MEMBERS
    assert shapes.BranchOut.__struct_fields__ == Branch.__struct_fields__


def test_what_may_be_empty_may_be_null() -> None:
    members = components()["SessionPatch"]["properties"]
    nullable = {name for name, schema in members.items() if {"type": "null"} in schema.get("anyOf", [])}
    assert nullable == set(SETTABLE) - {"pinned"}
