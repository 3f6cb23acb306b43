"""Branches, former texts and summaries in the admin: shown as readers see them, escaped, read-only, by role."""

import json
import re
from typing import Any

import pytest
from django.utils.html import escape

from chat_memory import Message, conversation
from chat_memory.models import Message as MessageRow, Session, Summary, Workspace
from tests.acceptance.admin_world import keys_listed, links, member, page, signed_in, staff, stored_session

pytestmark = pytest.mark.django_db

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>' onmouseover='x"


def transcript_texts(response: Any) -> list[str]:
    """What the messages of a transcript say now, in its order; only plain text is used here."""
    assert response.status_code == 200
    articles = re.findall(r'<article .*?<div class="cm-text" dir="auto">(.*?)</div>', response.text, re.DOTALL)
    assert len(articles) == response.text.count("<article ")
    return articles


def branch_row(name: str) -> Session:
    return Session.objects.get(branch=name)


def session_with_draft(at: int | None = 2, **names: Any) -> Session:
    """A conversation of three messages, and a branch "draft" with one of its own."""
    session = stored_session("k", size=3, **names)
    conversation("k", "acme").fork("draft", at)
    conversation("k", "acme", branch="draft").append(Message.user("drafted"))
    return session


def test_a_branch_is_read_with_what_it_shares(admin_client) -> None:
    session = session_with_draft()
    response = admin_client.get(page("session_transcript", branch_row("draft")))
    assert transcript_texts(response) == ["k says 1", "k says 2", "drafted"]
    assert links(response) == {"main": page("session_transcript", session)}
    assert '<strong aria-current="page" dir="auto">draft</strong>' in response.text
    assert '<dd dir="auto">draft</dd>' in response.text
    main = admin_client.get(page("session_transcript", session))
    assert transcript_texts(main) == ["k says 1", "k says 2", "k says 3"]
    assert links(main) == {"draft": page("session_transcript", branch_row("draft"))}


def test_the_page_of_a_session_says_which_branch_its_numbers_are_of(admin_client) -> None:
    """The list shows the number of messages on the current branch, the page those of the row, which is main's."""
    session = session_with_draft()
    conversation("k", "acme").fork(HOSTILE)
    said = "The numbers below are those of the branch main. The current branch is "
    assert said not in admin_client.get(page("session_change", session)).text
    conversation("k", "acme").switch(HOSTILE)
    shown = admin_client.get(page("session_change", session)).text
    assert f"{said}{escape(HOSTILE)}, with 3 messages." in shown
    assert HOSTILE not in shown
    assert said not in admin_client.get(page("session_change", branch_row("draft"))).text


def test_a_conversation_shows_its_current_branch(admin_client) -> None:
    """The first branch stays within reach by an address of its own."""
    session = session_with_draft()
    conversation("k", "acme").update(title="Of the whole", tags=["tagged"], metadata={"of": "all"})
    conversation("k", "acme").switch("draft")
    response = admin_client.get(page("session_transcript", session))
    assert transcript_texts(response) == ["k says 1", "k says 2", "drafted"]
    assert re.search(r'aria-current="page" dir="auto">draft</strong> <span[^>]*>[^<]*, current<', response.text)
    assert links(response) == {"main": page("session_main", session)}
    main = admin_client.get(links(response)["main"])
    assert transcript_texts(main) == ["k says 1", "k says 2", "k says 3"]
    assert links(main) == {"draft": page("session_transcript", branch_row("draft"))}
    for shown in (response, main, admin_client.get(page("session_transcript", branch_row("draft")))):
        for text in ("Of the whole", "tagged", "&quot;of&quot;: &quot;all&quot;"):
            assert text in shown.text


def test_a_conversation_of_one_branch_lists_none(admin_client) -> None:
    assert "cm-branches" not in admin_client.get(page("session_transcript", stored_session("k"))).text


@pytest.mark.parametrize("current", ["main", "deeper"])
def test_a_cleared_branch_hides_what_it_shares_and_others_do_not(current: str, admin_client) -> None:
    session = session_with_draft()
    conversation("k", "acme", branch="draft").fork("deeper")
    conversation("k", "acme").switch(current)
    chat = conversation("k", "acme", branch="deeper")
    chat.append(Message.user("before"))
    chat.clear()
    chat.append(Message.user("afresh"))
    afresh = admin_client.get(page("session_transcript", branch_row("deeper")))
    assert transcript_texts(afresh) == ["afresh"]
    assert 'rel="prev"' not in afresh.text
    assert transcript_texts(admin_client.get(page("session_transcript", branch_row("draft"))))[-1] == "drafted"
    assert transcript_texts(admin_client.get(page("session_main", session))) == ["k says 1", "k says 2", "k says 3"]


def test_pages_go_through_a_branch_of_a_branch_by_position(admin_client) -> None:
    """Every position once, where a page begins in one row and ends in another too."""
    stored_session("k", size=120)
    for number, (parent, at) in enumerate([(None, 110), ("b0", 130), ("b1", 130), ("b2", 150)]):
        conversation("k", "acme", branch=parent).fork(f"b{number}", at)
        said = (Message.user(f"b{number} says {position}") for position in range(at + 1, at + 61))
        conversation("k", "acme", branch=f"b{number}").append(*said)
    expected = [message.content for message in conversation("k", "acme", branch="b3").messages()]
    assert len(expected) == 210
    address = page("session_transcript", branch_row("b3"))
    newest = admin_client.get(address)
    assert "Messages 111 to 210 of 210" in newest.text
    middle, first = (admin_client.get(f"{address}?before={seq}") for seq in (111, 11))
    assert transcript_texts(first) + transcript_texts(middle) + transcript_texts(newest) == expected
    assert transcript_texts(admin_client.get(f"{address}?after=0")) == expected[:100]
    assert transcript_texts(admin_client.get(f"{address}?after=200")) == expected[200:]
    assert transcript_texts(admin_client.get(f"{address}?at=130")) == expected[79:179]
    for response, older, newer in ((first, False, True), (middle, True, True), (newest, True, False)):
        assert ('rel="prev"' in response.text, 'rel="next"' in response.text) == (older, newer)


def test_queries_do_not_grow_with_branches_edits_and_summaries(admin_client, django_assert_num_queries) -> None:
    root = page("session_transcript", session_with_draft())
    for depth in range(12):
        deeper(depth, "draft" if depth == 0 else f"deep-{depth - 1}")
        address = page("session_transcript", branch_row(f"deep-{depth}"))
        with django_assert_num_queries(13):
            assert transcript_texts(admin_client.get(address))[-1] == f"at depth {depth}"
    conversation("k", "acme").switch("deep-11")
    with django_assert_num_queries(13):
        assert len(transcript_texts(admin_client.get(root))) == 15


def deeper(depth: int, parent: str) -> None:
    """A branch of a branch, with a message, an edit and a summary of its own."""
    conversation("k", "acme", branch=parent).fork(f"deep-{depth}")
    chat = conversation("k", "acme", branch=f"deep-{depth}")
    chat.append(Message.user(f"at depth {depth}"))
    chat.edit(depth + 1, f"edited at {depth}")
    summarised(branch_row(f"deep-{depth}"), depth + 1)


def test_queries_do_not_grow_with_conversations_on_another_branch(admin_client, django_assert_num_queries) -> None:
    for size in (1, 5):
        for number in range(size):
            chat = conversation(stored_session(f"{size}-{number}").key, "acme")
            chat.fork("b")
            chat.switch("b")
        with django_assert_num_queries(5):
            admin_client.get(page("session_changelist"))


@pytest.mark.parametrize("main", [True, False])
def test_a_lineage_may_be_very_deep(main: bool, admin_client) -> None:
    """A conversation in which each answer was regenerated has a branch for each."""
    root, parent, rows = session_with_draft(at=0), branch_row("draft"), []
    for seq in range(2, 1203):
        names = {"workspace": root.workspace, "key": "k", "branch": f"b{seq}", "parent": parent, "fork_seq": seq - 1}
        times = dict.fromkeys(("created_at", "updated_at", "active_at", "listed_at"), root.created_at)
        parent = Session(**names, **times, last_seq=seq, message_count=seq)
        rows.append(parent)
    Session.objects.bulk_create(rows)
    said = {"workspace": root.workspace, "role": "user", "created_at": root.created_at}
    MessageRow.objects.bulk_create(
        MessageRow(session=row, seq=row.last_seq, client_id=row.branch, content=f"said {row.last_seq}", **said)
        for row in rows
    )
    response = admin_client.get(page("session_main" if main else "session_transcript", root if main else parent))
    assert transcript_texts(response)[-1] == ("k says 3" if main else "said 1202")
    assert main or len(transcript_texts(response)) == 100


def summarised(session: Session, last: int, text: str = "in short", model: str = "") -> None:
    said = {"text": text, "model": model, "created_at": session.created_at}
    Summary.objects.create(workspace=session.workspace, session=session, first_seq=1, last_seq=last, **said)


def test_former_texts_are_shown_with_their_message(admin_client) -> None:
    session = session_with_draft()
    chat = conversation("k", "acme", branch="draft")
    for text in ("second", "third"):
        chat.edit(1, text)
    chat.edit(3, [{"type": "text", "text": "parts"}, {"type": "odd", "n": 1}])
    chat.edit(3, "text again")
    shared, own = (
        admin_client.get(page("session_transcript", row)).text.split("<article ")
        for row in (session, branch_row("draft"))
    )
    for articles in (shared, own):
        first = articles[1]
        assert "edited, with 2 former texts" in first
        order = [first.index(f">{text}</div>") for text in ("third", "second", "k says 1")]
        assert order == sorted(order)
        assert "edited" not in articles[2]
    assert "edited" not in shared[3]
    assert [text in own[3] for text in ("text again", "parts", "&quot;n&quot;: 1", "drafted")] == [True] * 4
    message = MessageRow.objects.get(session=session, seq=1)
    alone = admin_client.get(page("message_change", message)).text
    assert [f">{text}</div>" in alone for text in ("third", "second", "k says 1")] == [True] * 3


def test_long_former_text_is_cut_and_whole_on_the_page_of_its_message(admin_client) -> None:
    session = stored_session("k", size=1)
    chat = conversation("k", "acme")
    chat.edit(1, "x" * 30_000 + "the end")
    chat.edit(1, "short")
    text = admin_client.get(page("session_transcript", session)).text
    assert "the end" not in text
    assert "10007 more characters" in text
    assert "the end" in admin_client.get(page("message_change", MessageRow.objects.get())).text


@pytest.mark.django_db(transaction=True)
def test_summaries_are_listed_with_what_they_cover(admin_client) -> None:
    session = session_with_draft(at=3)
    chat = conversation("k", "acme")
    chat.summarize(lambda messages: "in short 2", keep=2, model="little-model")
    chat.summarize(lambda messages: "in short 1", keep=1, model="little-model")
    conversation("k", "acme", branch="draft").summarize(lambda messages: "of the draft", keep=0)
    main, draft = (admin_client.get(page("session_transcript", row)).text for row in (session, branch_row("draft")))
    assert re.findall(r">(in short \d|of the draft)</div>", main) == ["in short 1", "in short 2"]
    assert re.findall(r">(in short \d|of the draft)</div>", draft) == ["of the draft", "in short 1", "in short 2"]
    assert "Messages 1 to 2 " in main
    assert main.count("little-model") == 2
    conversation("k", "acme").clear()
    assert "in short" not in admin_client.get(page("session_transcript", session)).text


def test_claims_and_summaries_of_what_is_not_shown_are_not_listed(admin_client) -> None:
    session = session_with_draft(at=1)
    summarised(session, 2, "beyond the fork")
    Summary.objects.create(
        workspace=session.workspace, session=session, first_seq=1, last_seq=1, created_at=session.created_at
    )
    assert "cm-summaries" not in admin_client.get(page("session_transcript", branch_row("draft"))).text
    assert admin_client.get(page("session_transcript", session)).text.count("cm-json") == 1


@pytest.fixture
def hostile() -> list[Session]:
    """Names, former texts and summaries that try to become markup, on a branch that is current."""
    session = stored_session("k", size=2)
    chat = conversation("k", "acme")
    chat.fork(HOSTILE)
    chat.edit(1, HOSTILE)
    chat.edit(1, [{"type": HOSTILE, "text": HOSTILE}, {"type": "text", "text": HOSTILE}])
    chat.edit(1, "harmless")
    summarised(session, 2, HOSTILE, HOSTILE)
    conversation("k", "acme", branch=HOSTILE).append(Message.user(json.dumps([HOSTILE])))
    chat.switch(HOSTILE)
    return [session, branch_row(HOSTILE)]


def test_everything_is_escaped_and_nothing_is_inline(hostile: list[Session], admin_client) -> None:
    """Such a page works under a Content-Security-Policy of ``default-src 'self'``."""
    addresses = [page(name, row) for row in hostile for name in ("session_transcript", "session_main")]
    addresses += [page("session_change", hostile[1]), page("message_changelist")]
    addresses += [page("message_change", message) for message in MessageRow.objects.exclude(seq=2)]
    for address in addresses:
        text = admin_client.get(address).text
        assert "alert(1)" in text, address
        for markup in ("<script>alert", "<img src=x", "onmouseover='x"):
            assert markup not in text, address
        assert re.findall(r"<script(?![^>]*(?:\bsrc=|type=\"application/json\"))[^>]*>", text) == []
        assert "<style" not in text
        assert not re.search(r"<[^>]*\s(?:style|on[a-z]+)=", text)


def test_a_branch_is_read_and_left_alone(admin_client) -> None:
    """Its title and the like are the conversation's, and it goes with it."""
    session_with_draft()
    row = branch_row("draft")
    form = {"title": "forged", "tags": "x", "metadata": '{"a": 1}'}
    shown = admin_client.get(page("session_change", row))
    assert shown.status_code == 200
    assert "Editable" not in shown.text
    assert admin_client.post(page("session_change", row), form).status_code == 403
    assert admin_client.post(page("session_delete", row), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    admin_client.post(page("session_changelist"), action)
    assert {each.title for each in Session.objects.all()} == {"k says 1", ""}
    assert Session.objects.filter(branch="draft").exists()


def test_an_edit_of_a_conversation_moves_its_current_branch(admin_client) -> None:
    session = session_with_draft()
    conversation("k", "acme").switch("draft")
    before = conversation("k", "acme").session()
    form = {"title": "New", "tags": "", "metadata": "{}"}
    form |= dict.fromkeys(("archived_at_0", "archived_at_1", "expires_at_0", "expires_at_1"), "")
    assert admin_client.post(page("session_change", session), form).status_code == 302
    after = conversation("k", "acme").session()
    assert after
    assert before
    assert (after.title, after.version) == ("New", before.version + 1)


def test_deletion_takes_the_branches(admin_client) -> None:
    """The question before it counts every message once, whichever branches show it."""
    session, other = session_with_draft(), stored_session("other", size=2)
    conversation("k", "acme", branch="draft").fork("deeper")
    conversation("k", "acme").switch("draft")
    shown = admin_client.get(page("session_delete", session)).text
    assert "Messages: 4<" in shown.replace("\n", "")
    assert "</a>, 4 messages" in shown
    both = {"action": "delete_selected", "_selected_action": [str(session.pk), str(other.pk)]}
    assert "Messages: 6<" in admin_client.post(page("session_changelist"), both).text.replace("\n", "")
    assert admin_client.post(page("session_delete", session), {"post": "yes"}).status_code == 302
    other.history().delete()
    assert not Session.objects.exists()
    assert not MessageRow.objects.exists()


def test_lists_hold_conversations_and_count_their_current_branch(admin_client) -> None:
    session_with_draft()
    stored_session("long", size=4)
    chat = conversation("k", "acme")
    chat.switch("draft")
    chat.append(*(Message.user(str(number)) for number in range(4)))
    rows = admin_client.get(page("session_changelist") + "?o=2").context["cl"].result_list
    assert [row.key for row in rows] == ["long", "k"]
    assert "7 messages" in admin_client.get(page("session_changelist")).text
    without = staff("sessions-only", models=("session",))
    Workspace.objects.get(slug="acme").members.create(user=without, role="admin")
    listed = signed_in(without).get(page("session_changelist")).text
    assert [int(size) for size in re.findall(r'field-size">(\d+)<', listed)] == [7, 4]


def test_a_message_leads_to_its_own_branch(admin_client) -> None:
    """Whichever branch is current: elsewhere its position is another message's."""
    session = session_with_draft()
    conversation("k", "acme").switch("draft")
    for row, name, text in (
        (session, "session_main", "k says 3"),
        (branch_row("draft"), "session_transcript", "drafted"),
    ):
        message = MessageRow.objects.get(session=row, seq=3)
        address = f"{page(name, row)}?at=3#m3"
        assert f'href="{address}"' in admin_client.get(page("message_change", message)).text
        assert f'href="{address}"' in admin_client.get(page("message_changelist")).text
        assert transcript_texts(admin_client.get(address))[-1] == text
    assert "branch draft, message 3" in admin_client.get(page("message_changelist")).text


@pytest.fixture
def worlds() -> dict[str, Session]:
    """Branches of one name and key in two workspaces, both mine, and of two users in one."""
    acme, globex = (Workspace.objects.create(slug=slug) for slug in ("acme", "globex"))
    mine = member(acme.slug, "member", "me")
    globex.members.create(user=mine, role="member")
    rows = {}
    for key, workspace, owner in (("k", "acme", mine), ("theirs", "acme", "somebody"), ("k", "globex", "else")):
        chat = conversation(key, workspace, user=owner)
        chat.append(Message.user(f"{workspace} {key} shared"))
        chat.fork("draft")
        conversation(key, workspace, branch="draft").append(Message.user(f"{workspace} {key} drafted"))
        rows[f"{workspace} {key}"] = Session.objects.get(workspace__slug=workspace, key=key, branch="draft")
    return rows


@pytest.mark.parametrize(("role", "seen"), [("member", {"acme k"}), ("reader", {"acme k", "acme theirs"})])
def test_branches_are_shown_to_all_who_may_see_the_conversation(
    role: str, seen: set[str], worlds: dict[str, Session]
) -> None:
    me = worlds["acme k"].workspace.members.get()
    me.role = role
    me.save()
    client = signed_in(me.user)
    for name, row in worlds.items():
        for address in (page("session_transcript", row), page("session_main", row), page("session_change", row)):
            response = client.get(address)
            assert (response.status_code == 200) is (name in seen), address
            assert name in seen or "drafted" not in response.text
    own = client.get(page("session_transcript", worlds["acme k"]))
    assert transcript_texts(own) == ["acme k shared", "acme k drafted"]
    listed = client.get(page("message_changelist")).context["cl"].result_list
    assert {str(message.content) for message in MessageRow.objects.filter(pk__in=[each.pk for each in listed])} == {
        f"{name} {said}" for name in seen for said in ("shared", "drafted")
    }
    assert keys_listed(client) == {name.removeprefix("acme ") for name in seen}


@pytest.mark.parametrize("name", ["session_transcript", "session_main"])
@pytest.mark.parametrize("object_id", ["no-uuid", "_00", "00000000-0000-7000-8000-000000000000"])
def test_what_is_no_session_is_not_found(name: str, object_id: str, worlds: dict[str, Session], admin_client) -> None:
    row = worlds["acme k"]
    me = signed_in(row.workspace.members.get().user)
    address = page(name, row).replace(str(row.pk).replace("_", "_5F"), object_id)
    assert object_id in address
    assert [client.get(address).status_code for client in (me, admin_client)] == [404, 404]
