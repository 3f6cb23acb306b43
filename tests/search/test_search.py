"""S2.30. A search finds what its reader may read, by the words that are in it, the best first, and page by page."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, NotOwner, ValidationError, conversation
from chat_memory.maintenance.indexing import fill_index
from chat_memory.records import Found, Hit
from chat_memory.search.statements import COMPARED, INDEXED, RANKED
from chat_memory.sessions import asearch, search

pytestmark = pytest.mark.django_db(transaction=True)


def says(key: str, *texts: str, workspace: str = "acme", **more: object) -> None:
    """A conversation of these texts."""
    conversation(key, workspace, **more).append(*map(Message.user, texts))  # type: ignore[arg-type]


def keys_found(text: str, workspace: str = "acme", **wanted: object) -> list[str]:
    """The conversations that a search finds."""
    return [found.key for found in search(text, workspace, **wanted).results]  # type: ignore[arg-type]


def places(hits: list[Hit]) -> list[int]:
    return [hit.seq for hit in hits]


def marked(found: Found | Hit) -> list[str]:
    """The words of an excerpt that are marked."""
    hit = found.hit if isinstance(found, Found) else found
    return [piece.text for piece in hit.excerpt if piece.marked]


def test_the_syntax_is_that_of_search_engines() -> None:
    says("rye", "Rye bread, baked in an oven.")
    says("wheat", "Bread of wheat: bakers bake it.")
    says("soup", "A soup of rye; no loaf.")
    assert set(keys_found("bread")) == {"rye", "wheat"}
    assert set(keys_found("BREAD")) == {"rye", "wheat"}
    assert keys_found("bread rye") == ["rye"]
    assert keys_found('"rye bread"') == ["rye"]
    assert keys_found('"bread rye"') == []
    assert keys_found("bread -oven") == ["wheat"]
    assert keys_found('rye -"rye bread"') == ["soup"]
    assert set(keys_found("oven or soup")) == {"rye", "soup"}
    assert set(keys_found("wheat or rye -soup")) == {"rye", "wheat"}
    assert set(keys_found("bak*")) == {"rye", "wheat"}
    assert keys_found("bak") == []
    assert keys_found("rye -bak*") == ["soup"]
    assert keys_found("nowhere") == []
    assert set(keys_found("bread or nowhere -bread")) == {"rye", "wheat"}


@pytest.mark.parametrize(
    "text",
    ["a & b", "'", "a' || b", "a:*", "!a <-> b", '"', "a\\", "NEAR(a b)", "words : a", "a AND NOT", "(((", "%", "^a"],
)
def test_nothing_in_a_search_is_an_error_of_the_database(text: str) -> None:
    says("k", "a b near words and not")
    with suppress(ValidationError):  # some have no word to look for
        search(text, "acme")
    conversation("k", "acme").search(f"a {text}")


def test_a_user_finds_in_what_is_theirs_alone() -> None:
    """As in find_sessions: the key of another system may be the same text as a user's, and stays another's."""
    ann, bob = (User.objects.create_user(name) for name in ("ann", "bob"))
    says("of-ann", "bread", user=ann)
    says("of-bob", "bread", user=bob)
    says("of-other-system", "bread", user=str(ann.pk))
    says("nobodys", "bread")
    says("elsewhere", "bread", workspace="rival", user=ann)
    assert keys_found("bread", user=ann) == ["of-ann"]
    assert keys_found("bread", user=str(ann.pk)) == ["of-other-system"]
    assert set(keys_found("bread")) == {"of-ann", "of-bob", "of-other-system", "nobodys"}
    assert keys_found("bread", "rival") == ["elsewhere"]
    assert keys_found("bread", "unknown") == []
    assert conversation("of-ann", "acme", user=ann).search("bread")
    with pytest.raises(NotOwner):
        conversation("of-ann", "acme", user=bob).search("bread")


def test_a_conversation_is_found_by_its_conditions_and_a_message_by_its_time() -> None:
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    chat = conversation("k", "acme")
    chat.append(*(Message.user("bread", created_at=noon + timedelta(hours=hour)) for hour in range(3)))
    says("other", "bread")
    conversation("other", "acme").update(tags=["x"], pinned=True, archived_at=noon, title="About bread")
    (found,) = search("bread", "acme", since=noon + timedelta(hours=1), until=noon + timedelta(hours=2)).results
    assert (found.key, found.hit.seq, found.hits) == ("k", 2, 1)
    assert keys_found("bread", until=noon) == []
    for wanted in ({"tags": ["x"]}, {"pinned": True}, {"archived": True}, {"title": "about"}, {"key": "other"}):
        assert keys_found("bread", **wanted) == ["other"]
    assert keys_found("bread", archived=False) == ["k"]


def test_what_a_branch_does_not_show_is_not_found() -> None:
    chat = conversation("k", "acme")
    chat.append(*map(Message.user, ("one bread", "two bread", "three bread")))
    draft = chat.fork("draft", at=2)
    draft.append(Message.user("four bread"))
    deep = draft.fork("deep", at=1)
    deep.append(Message.user("five bread"))

    def shown() -> tuple[list[int], int]:
        (found,) = search("bread", "acme").results
        return sorted(places(chat.search("bread"))), found.hits

    assert shown() == ([1, 2, 3], 3)
    assert sorted(places(draft.search("bread"))) == [1, 2, 3]
    assert (draft.search("three"), places(draft.search("four"))) == ([], [3])
    chat.switch("draft")
    assert shown() == ([1, 2, 3], 3)
    assert (keys_found("three"), keys_found("four"), keys_found("five")) == ([], ["k"], [])
    chat.switch("deep")
    assert shown() == ([1, 2], 2)
    assert (keys_found("two"), keys_found("four"), keys_found("five"), keys_found("one")) == ([], [], ["k"], ["k"])
    deep.clear()
    assert (search("bread", "acme").results, deep.search("bread")) == ([], [])
    assert sorted(places(draft.search("bread"))) == [1, 2, 3]


def test_the_best_hit_comes_first_and_stands_for_its_conversation() -> None:
    says("often", "bread bread bread and bread", "no more of it")
    says("once", "a long text that says bread once and then many other things " * 3)
    says("many", *(f"bread {number}" for number in range(5)))
    page = search("bread", "acme").results
    assert page[0].key == "often"
    assert {found.key: found.hits for found in page} == {"often": 1, "once": 1, "many": 5}
    assert [found.hit.seq for found in page if found.key == "many"] == [5]
    assert all(marked(found) for found in page)


@pytest.mark.parametrize("text", ["takeover or qqinvented", "takeover or qqinv*"])
def test_the_order_tells_nothing_of_what_others_wrote(text: str) -> None:
    """A word is worth no less for being in messages that the reader may not see."""
    ann = User.objects.create_user("ann")
    chat = conversation("chat", "acme", user=ann)
    for key, said in (("twice", "qqinvented, qqinvented"), ("one", "qqinvented"), ("other", "takeover"), ("no", "-")):
        says(key, said, user=ann)
        chat.append(Message.user(said))

    def orders() -> tuple[list[str], list[int]]:
        return keys_found(text, user=ann), places(chat.search(text))

    before = orders()
    assert before[1] == [1, 3, 2]
    assert [key for key in before[0] if key != "chat"] == ["twice", "other", "one"]
    for others in ({"workspace": "rival"}, {"user": "bob"}):
        says("others", *["takeover"] * 20, **others)
        assert orders() == before


def test_pages_follow_each_other_without_a_gap() -> None:
    for number in range(7):
        says(f"k{number}", "bread " * (number + 1))
    whole = keys_found("bread", size=100)
    assert sorted(whole) == [f"k{number}" for number in range(7)]
    turned, after = [], None
    for _page in range(4):
        page = search("bread", "acme", size=2, after=after)
        turned += [found.key for found in page.results]
        after = page.next
    assert (turned, after) == (whole, None)
    for wrong in ("", "x", "-1", "1" * 20, "٣", 3):
        with pytest.raises(ValidationError, match="after"):
            search("bread", "acme", after=wrong)  # type: ignore[arg-type]


def test_of_very_many_hits_the_newest_are_compared() -> None:
    says("old", "bread " * 10)
    says("flood", *("bread" for _number in range(RANKED)))
    (found,) = search("bread", "acme").results
    assert (found.key, found.hits) == ("flood", RANKED)
    assert keys_found("bread", key="old") == ["old"]


def test_sqlite_counts_words_in_so_many_characters() -> None:
    says("old", "bread bread")
    says("long", *["bread".ljust(INDEXED)] * (COMPARED // INDEXED - 1))
    assert keys_found("bread") == ["old", "long"]
    says("longer", *["bread".ljust(INDEXED)] * 2)
    assert keys_found("bread")[0] == ("longer" if connection.vendor == "sqlite" else "old")


def test_an_excerpt_is_plain_text_in_pieces() -> None:
    """Markup stays what it was; a page escapes the pieces, and puts its own marks around them."""
    text = "<script>alert('bread')</script> \x02bread\x03 &amp; breadth"
    says("k", text)
    (hit,) = conversation("k", "acme").search("bread")
    assert hit.text == text
    assert marked(hit) == ["bread", "bread"]
    assert (hit.seq, hit.role, hit.created_at.utcoffset()) == (1, "user", timedelta(0))
    assert [hit.id] == [message.id for message in conversation("k", "acme").messages()]


def test_an_excerpt_shows_where_the_words_are() -> None:
    filler = "nothing of interest here " * 3_000
    says("k", f"{filler}Sourdough needs time, and sourdough bread more of it. {filler}")
    (hit,) = conversation("k", "acme").search("sourdough bread")
    assert marked(hit) == ["Sourdough", "sourdough", "bread"]
    assert hit.text.startswith("…")
    assert hit.text.endswith("…")
    assert len(hit.text) < 300
    (hit,) = conversation("k", "acme").search("sour*")
    assert marked(hit) == ["Sourdough", "sourdough"]


def test_texts_among_parts_are_found() -> None:
    parts = [
        {"type": "text", "text": "a picture of bread"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,breadbreadbread"}},
        {"type": "number", "text": 10**60},
        {"text": "Bedrock"},
        {"type": "text", "text": "of rye"},
    ]
    conversation("k", "acme").append(Message.user(parts), Message.assistant(None, tool_calls=[{"id": "c"}]))
    (hit,) = conversation("k", "acme").search("bread bedrock rye")
    assert marked(hit) == ["bread", "Bedrock", "rye"]
    assert keys_found("base64") == []


def test_the_number_of_statements_does_not_grow() -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            search("bread", "acme", size=50)
        return len(queries)

    says("k0", "bread")
    few = statements()
    for number in range(1, 30):
        says(f"k{number}", "bread")
    bound = 3 if connection.vendor == "postgresql" else 0  # a transaction of its own bounds the time
    assert statements() == few <= 4 + bound


async def test_twins_answer_the_same() -> None:
    await conversation("k", "acme").aappend(Message.user("bread"))
    page = await asearch("bread", "acme")
    assert [found.key for found in page.results] == ["k"]
    assert places(await conversation("k", "acme").asearch("bread")) == [1]


@pytest.mark.postgresql
def test_a_workspace_is_searched_in_its_language(settings) -> None:
    settings.CHAT_MEMORY = {"SEARCH_CONFIG": {"acme": "english", "*": "pg_catalog.simple"}}
    says("k", "The bakers were baking bread. " + "And so on. " * 2_000)
    says("k", "The bakers were baking bread.", workspace="rival")
    assert keys_found("baker") == ["k"]
    assert marked(search("baker bake", "acme").results[0]) == ["bakers", "baking"]
    assert keys_found("baker", "rival") == []
    assert keys_found("bakers", "rival") == ["k"]
    # Words that the language leaves out find nothing, and nothing else by what they exclude.
    for text in ("the", "the -nowhere", "the or were", '"the"'):
        assert keys_found(text) == []
        assert conversation("k", "acme").search(text) == []
    assert keys_found("the baker") == ["k"]
    settings.CHAT_MEMORY = {"SEARCH_CONFIG": "simple"}
    assert keys_found("baking") == []
    assert fill_index().messages == 2  # the other one was indexed under another name of the same
    assert keys_found("baking") == ["k"]
    assert keys_found("bake") == []
