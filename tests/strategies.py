"""What hypothesis draws: everything a message may hold."""

from datetime import UTC
from typing import Any

import msgspec
from hypothesis import strategies as st

from chat_memory import Message
from chat_memory.records import MESSAGE_KEYS
from chat_memory.rules.times import EARLIEST, LATEST

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
keys = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
numbers = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, json_values, max_size=3)
further_names = texts.filter(lambda name: name not in MESSAGE_KEYS)
"""Keys that no field of a message has; some of those that providers have among them."""
provider_keys = st.sampled_from(
    ["refusal", "audio", "reasoning_content", "annotations", "function_call", "extra", "parts"]
)
extras = st.dictionaries(provider_keys | further_names, json_values, min_size=1, max_size=3)
common = {
    "name": st.none() | texts,
    "metadata": st.none() | objects,
    "id": st.none() | keys,
    "created_at": st.none()
    | st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC)),
    "tokens": st.none() | st.integers(0, 2**31 - 1),
    "extra": st.none() | extras,
}
with_content = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool", "function"]),
    texts | st.lists(objects, max_size=3),
    tool_call_id=st.none() | texts,
    **common,
)
calling = st.builds(
    Message,
    st.just("assistant"),
    st.none() | texts,
    tool_calls=st.none() | st.lists(objects, max_size=3),
    **common,
)
without_content = st.builds(
    Message,
    st.just("assistant"),
    tool_calls=st.none() | st.lists(objects, max_size=3),
    content_absent=st.just(True),
    **common,
)
of_developer = st.builds(
    lambda message, extra: msgspec.structs.replace(message, role="system", extra={**extra, "role": "developer"}),
    with_content,
    st.just({}) | extras,
)
messages = with_content | calling | without_content | of_developer
