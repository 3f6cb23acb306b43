"""The messages most like a text, by pgvector where the database has it, and without it."""

import random
from functools import partial

import pytest

from chat_memory import Message, NotOwner, ValidationError, append_many, conversation
from chat_memory.vectors import comparing, keeping
from tests.conversations import say
from tests.vectors.embedders import Asynchronous, Counting
from tests.vectors.looking import cosine, embeddings, saying

WORDS = ["rye", "wheat", "bread", "oven", "salt", "water", "flour", "crust", "dough", "yeast", "soup", "onion", "knife"]


def some_texts(number: int) -> list[str]:
    """Texts of a few words, the same in every run."""
    chosen = random.Random(7)
    return [" ".join(chosen.sample(WORDS, 4)) for _number in range(number)]


def of_bread(numbers: int, texts: list[str]) -> list[list[float]]:
    """Vectors of so many numbers, the first of which says whether a text is about bread."""
    return [[float("bread" in text)] + [0.1] * (numbers - 1) for text in texts]


@pytest.mark.django_db(transaction=True)
class TestRelevance:
    """As the database of the run compares embeddings."""

    def test_a_text_is_embedded_once(self) -> None:
        """FEATURES S0.36, N49: three queries over 200 messages are 203 texts, in order of time and with scores."""
        embedder = Counting()
        texts = [f"{text} {number}" for number, text in enumerate(some_texts(200))]
        say(*texts)
        for query in ("rye bread", "onion soup", "flour"):
            found = conversation("k", "acme").relevant(query, 5, embedder)
            assert len(found) == 5
            places = [each.message.seq or 0 for each in found]
            assert places == sorted(places)
            assert all(each.score is not None and 0 < each.score <= 1 for each in found)
        assert len(embedder.texts) == 203
        assert sorted(embedder.texts) == sorted([*texts, "rye bread", "onion soup", "flour"])
        assert max(map(len, embedder.calls)) == 100
        assert embeddings("counting") == 200

    def test_the_best_are_those_of_the_plain_cosine(self) -> None:
        texts = some_texts(120)
        say(*texts)
        query = "rye dough water"
        ranked = sorted(((round(cosine(query, text), 6), seq) for seq, text in enumerate(texts, 1)), reverse=True)
        found = conversation("k", "acme").relevant(query, 7)
        assert [each.message.seq for each in found] == sorted(seq for _score, seq in ranked[:7])
        for each in found:
            assert each.message.seq is not None
            assert each.score == pytest.approx(cosine(query, texts[each.message.seq - 1]), abs=1e-5)

    def test_of_what_is_as_near_the_newest_comes(self) -> None:
        say(*["bread"] * 30)
        assert [each.message.seq for each in conversation("k", "acme").relevant("bread", 3)] == [28, 29, 30]

    def test_embeddings_are_read_a_part_at_a_time(self, monkeypatch) -> None:
        say(*some_texts(40), "the one sought", *some_texts(40))
        whole = conversation("k", "acme").relevant("the one sought", 4)
        monkeypatch.setattr(comparing, "AT_ONCE", 256 * 7)
        assert conversation("k", "acme").relevant("the one sought", 4) == whole
        assert "the one sought" in saying(whole)

    def test_what_lacks_embeddings_is_looked_for_a_range_at_a_time(self, monkeypatch) -> None:
        monkeypatch.setattr(keeping, "AT_ONCE", 7)
        embedder, chat = Counting("m"), conversation("k", "acme")
        say("hidden", *(f"bread {number}" for number in range(130)))
        chat.clear()
        chat.append(*(Message.user(f"soup {number}") for number in range(130)))
        draft = chat.fork("draft", at=200)
        draft.append(*(Message.user(f"onion {number}") for number in range(60)))
        for branch in (draft, chat):
            branch.relevant("bread", 1, embedder)
        assert list(map(len, embedder.calls)) == [1, 100, 29, 1, 61]
        assert len(set(embedder.texts)) == len(embedder.texts) - 1

    def test_parts_count_by_their_texts(self) -> None:
        """FEATURES N49: what has no words is never found, and never given to the embedder."""
        embedder = Counting()
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        texts = [{"type": "text", "text": "a loaf"}, picture, {"type": "text", "text": "of rye"}]
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        conversation("k", "acme").append(
            Message.user(texts),
            Message.user([picture]),
            Message.assistant(None, tool_calls=[call]),
            Message.tool("   ", tool_call_id="c"),
            Message.user("soup"),
        )
        found = conversation("k", "acme").relevant("rye", 4, embedder)
        assert saying(found) == [texts, "soup"]
        assert found[0].score == pytest.approx(0.5)
        assert sorted(embedder.texts) == ["a loaf\nof rye", "rye", "soup"]
        assert saying(conversation("k", "acme").relevant("soup", 1, embedder)) == ["soup"]
        assert len(embedder.texts) == 4

    def test_a_short_conversation_comes_whole(self) -> None:
        """FEATURES S0.36: nothing is compared, so nothing is embedded, and no score is known."""
        embedder = Counting()
        say("one", "two", "three")
        chat = conversation("k", "acme")
        chat.redact(2)
        found = chat.relevant("bread", 3, embedder)
        assert [(each.message.content, each.score) for each in found] == [("one", None), ("three", None)]
        assert conversation("unknown", "acme").relevant("bread", 3, embedder) == []
        assert (embedder.calls, embeddings()) == ([], 0)

    def test_a_branch_finds_what_it_shows(self) -> None:
        say("shared bread", "main bread", "other")
        chat = conversation("k", "acme")
        draft = chat.fork("draft", at=1)
        draft.append(Message.user("draft bread"), Message.user("x"))
        assert saying(chat.relevant("bread", 2)) == ["shared bread", "main bread"]
        assert saying(draft.relevant("bread", 2)) == ["shared bread", "draft bread"]
        deep = draft.fork("deep", at=2)
        deep.append(Message.user("deep bread"), Message.user("y"))
        assert saying(deep.relevant("bread", 3)) == ["shared bread", "draft bread", "deep bread"]
        chat.switch("deep")
        assert saying(conversation("k", "acme").relevant("bread", 3)) == ["shared bread", "draft bread", "deep bread"]
        assert embeddings() == 7

    def test_what_is_cleared_is_not_found(self) -> None:
        say("bread one", "bread two", "bread three")
        chat = conversation("k", "acme")
        chat.relevant("bread", 1)
        chat.clear()
        assert chat.relevant("bread", 1) == []
        say("soup", "bread four", "more soup")
        assert saying(chat.relevant("bread", 1)) == ["bread four"]

    def test_a_conversation_finds_its_own_alone(self) -> None:
        """Beside one of the same key in another workspace, and another of its own."""
        chats = [conversation("k", "acme"), conversation("k", "rival"), conversation("other", "acme")]
        append_many({chat: [Message.user(f"bread of {chat.workspace} {chat.key}")] for chat in chats})
        for chat in chats:
            chat.append(Message.user("soup"), Message.user("onion"))
        for chat in chats:
            assert saying(chat.relevant("bread", 1)) == [f"bread of {chat.workspace} {chat.key}"]

    def test_what_is_edited_is_found_by_what_it_says_now(self) -> None:
        embedder = Counting()
        say("former words", "bread", "soup", "onion")
        chat = conversation("k", "acme")
        assert saying(chat.relevant("former words", 1, embedder)) == ["former words"]
        chat.edit(1, "present text")
        found = chat.relevant("former words", 3, embedder)
        assert [each.score for each in found] == [0, 0, 0]
        assert saying(chat.relevant("present text", 1, embedder)) == ["present text"]
        assert embedder.texts.count("present text") == 2  # the message, and the query
        chat.edit(1, metadata={"seen": True})
        chat.relevant("soup", 1, embedder)
        assert embedder.texts.count("present text") == 2

    def test_what_is_redacted_or_popped_is_not_found(self) -> None:
        say("bread one", "soup", "onion", "bread two")
        chat = conversation("k", "acme")
        assert saying(chat.relevant("bread", 2)) == ["bread one", "bread two"]
        chat.redact(1)
        assert "bread two" in saying(chat.relevant("bread", 2))
        assert "redacted" not in str(saying(chat.relevant("redacted", 2)))
        chat.pop()
        assert saying(chat.relevant("bread", 2)) == ["soup", "onion"]
        assert embeddings() == 2

    def test_each_model_has_its_own(self) -> None:
        small = Counting("small", partial(of_bread, 2))
        say("bread", "soup", "onion")
        chat = conversation("k", "acme")
        assert saying(chat.relevant("bread", 1, small)) == ["bread"]
        assert saying(chat.relevant("onion", 1)) == ["onion"]
        assert (embeddings("small"), embeddings("hashing-256")) == (3, 3)

    def test_a_model_with_another_number_of_numbers_embeds_anew(self) -> None:
        say("bread", "soup", "onion")
        chat = conversation("k", "acme")
        embedders = [Counting("m", partial(of_bread, numbers)) for numbers in (2, 3, 3)]
        for embedder in embedders:
            assert saying(chat.relevant("bread", 1, embedder)) == ["bread"]
        assert [len(each.texts) for each in embedders] == [4, 4, 1]
        assert embeddings("m") == 3

    @pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e30, 1e300])
    def test_numbers_of_any_size_are_compared(self, scale: float) -> None:
        say("bread", "soup", "onion")
        embedder = Counting("m", lambda texts: [[scale * ("bread" in text), scale * 0.5] for text in texts])
        (found,) = conversation("k", "acme").relevant("bread", 1, embedder)
        assert found.message.content == "bread"
        assert found.score == pytest.approx(1.0)

    @pytest.mark.parametrize("tiny", [1e-50, 1e-40, -5e-324, 1e-46])
    def test_numbers_too_small_for_single_precision_are_nothing(self, tiny: float) -> None:
        """PostgreSQL takes them for an error: of the message's embedding, and of the query's."""
        say("bread", "soup", "onion")
        embedder = Counting("m", lambda texts: [[1.0, tiny] for _text in texts])
        assert [each.score for each in conversation("k", "acme").relevant("bread", 2, embedder)] == [1, 1]

    def test_vectors_of_nothing_are_like_nothing(self) -> None:
        say("bread", "soup", "onion")
        embedder = Counting("m", lambda texts: [[0.0, 0.0] for _text in texts])
        assert [each.score for each in conversation("k", "acme").relevant("bread", 2, embedder)] == [0, 0]

    async def test_the_twin_and_a_coroutine(self) -> None:
        chat = conversation("k", "acme")
        await chat.aappend(*(Message.user(text) for text in ("bread", "soup", "onion")))
        embedder = Asynchronous()
        assert saying(await chat.arelevant("onion", 1, embedder)) == ["onion"]
        assert saying(await chat.arelevant("soup", 1, embedder=embedder)) == ["soup"]
        assert len(embedder.texts) == 5

    def test_only_its_owner_is_answered(self) -> None:
        mine = conversation("k", "acme", user="me")
        mine.append(*(Message.user(text) for text in ("bread", "soup", "onion")))
        assert saying(mine.relevant("bread", 1)) == ["bread"]
        for k in (1, 100):
            with pytest.raises(NotOwner):
                conversation("k", "acme", user="you").relevant("bread", k)


@pytest.mark.postgresql
@pytest.mark.usefixtures("without_pgvector")
class TestWithoutPgvector(TestRelevance):
    """The same on a PostgreSQL whose table was made without the extension."""


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"query": ""}, "query"),
        ({"query": " \n"}, "query"),
        ({"query": None}, "query"),
        ({"query": 7}, "query"),
        ({"query": "x" * 8001}, "query"),
        ({"query": "\ud800"}, "query"),
        ({"k": 0}, "k"),
        ({"k": -1}, "k"),
        ({"k": 1001}, "k"),
        ({"k": True}, "k"),
        ({"k": "3"}, "k"),
        ({"embedder": 7}, "embedder"),
        ({"embedder": lambda texts: texts}, "embedder"),
        ({"embedder": Counting("")}, "embedder.name"),
        ({"embedder": Counting("x" * 256)}, "embedder.name"),
    ],
)
def test_what_is_not_usable_is_refused(given: dict[str, object], field: str) -> None:
    arguments: dict[str, object] = {"query": "bread", "k": 3} | given
    with pytest.raises(ValidationError) as caught:
        conversation("k", "acme").relevant(**arguments)  # type: ignore[arg-type]
    assert caught.value.field == field
