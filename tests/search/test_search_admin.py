"""The admin's search of messages uses the index, within what the user may see."""

import pytest

from chat_memory import Message, conversation
from chat_memory.maintenance.indexing import fill_index
from tests.acceptance.admin_world import member, page, signed_in, user

pytestmark = pytest.mark.django_db(transaction=True)


def listed_by(client, text: str) -> list[str]:
    """The beginnings of the messages that a search in the list of messages shows."""
    answer = client.get(page("message_changelist"), {"q": text})
    assert answer.status_code == 200
    return [message.beginning for message in answer.context["cl"].result_list]


def test_staff_find_messages_by_words_in_what_they_may_see() -> None:
    conversation("k", "acme").append(Message.user("Rye bread"), Message.user("breadth"), Message.user("wheat bread"))
    conversation("k", "rival").append(Message.user("bread of rivals"))
    reader, root = signed_in(member("acme", "reader")), signed_in(user("root", is_staff=True, is_superuser=True))
    assert listed_by(reader, "bread") == ["wheat bread", "Rye bread"]
    assert listed_by(root, "bread") == ["bread of rivals", "wheat bread", "Rye bread"]
    assert listed_by(reader, '"rye bread" or breadt*') == ["breadth", "Rye bread"]
    assert listed_by(reader, "bread -rye") == ["wheat bread"]
    assert listed_by(reader, "read") == []
    assert listed_by(reader, "-bread") == []
    assert listed_by(reader, "''' ; --") == []
    answer = reader.get(page("message_changelist"))
    assert "Searches for words in all messages" in answer.content.decode()


@pytest.mark.postgresql
def test_staff_find_messages_in_the_language_of_each_workspace(settings) -> None:
    settings.CHAT_MEMORY = {"SEARCH_CONFIG": {"acme": "english"}}
    conversation("k", "acme").append(Message.user("bakers"))
    conversation("k", "rival").append(Message.user("bakers"), Message.user("baker"))
    root = signed_in(user("root", is_staff=True, is_superuser=True))
    assert listed_by(root, "baker") == ["baker", "bakers"]
    assert listed_by(root, "the") == []
    settings.CHAT_MEMORY = {}

    fill_index()  # in the language that is left
