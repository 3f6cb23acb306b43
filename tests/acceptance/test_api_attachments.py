"""Attachments over HTTP: bytes that come for a message, bytes that go out as nothing a browser would run."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, TooLarge, conversation
from chat_memory.models import Attachment, Session
from chat_memory.rules.attachments import MAX_REFERENCES
from tests.acceptance.api_support import Caller, caller, stored

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.acceptance.api_urls")]

CAT = b"\x89PNG a cat"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"


def upload(me: Caller, session: Session, data: bytes = CAT, kind: str = "image/png", query: str = "") -> Any:
    return me.raw(f"{me.session(session)}attachments/{query}", data, kind)


def download_of(me: Caller, session: Session, data: bytes = CAT) -> str:
    return f"{me.session(session)}attachments/{hashlib.sha256(data).hexdigest()}/"


def test_a_server_without_a_place_for_files_does_not_offer_them(settings: Any) -> None:
    settings.MEDIA_ROOT = ""
    refused = upload(caller(), stored())
    assert (refused.status_code, refused.json()["code"]) == (501, "not_supported")


def test_bytes_are_uploaded_referred_to_and_downloaded() -> None:
    me, session = caller(), stored()
    answer = upload(me, session, query="?name=cat.png")
    assert answer.status_code == 201
    made = answer.json()
    assert (made["size"], made["media_type"], made["part"]["image_ref"]["name"]) == (len(CAT), "image/png", "cat.png")
    assert answer["Location"] == f"http://testserver{download_of(me, session)}"
    assert me.post(me.messages(session), {"role": "user", "content": [made["part"]]}).status_code == 201
    got = me.get(answer["Location"])
    assert b"".join(got.streaming_content) == CAT
    assert (got.status_code, got["Content-Type"], got["Content-Length"]) == (
        200,
        "application/octet-stream",
        str(len(CAT)),
    )
    assert me.get(answer["Location"], **{"If-None-Match": got["ETag"]}).status_code == 304
    got.close()
    head = me.client.head(answer["Location"])
    assert (head.status_code, head["Content-Length"]) == (200, str(len(CAT)))
    head.close()


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "image/jpeg; charset=x"])
def test_no_browser_takes_a_download_for_a_page(kind: str) -> None:
    me, session = caller(), stored()
    markup = b"<script>alert(1)</script>"
    assert upload(me, session, markup, kind, "?name=evil.html").status_code == 201
    got = me.get(download_of(me, session, markup), Accept="text/html")
    assert got.status_code == 200
    assert got["Content-Type"] == "application/octet-stream"
    assert got["Content-Disposition"].startswith("attachment; filename=")
    assert "html" not in got["Content-Disposition"]
    assert got["X-Content-Type-Options"] == "nosniff"
    assert got["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert got["Cache-Control"] == "private, no-cache"
    got.close()


def test_no_answer_tells_whether_somebody_had_stored_the_same_bytes() -> None:
    me, session = caller(), stored()
    known, fresh = b"known bytes", b"fresh bytes"
    stored("other").history().attachments.add(known, media_type="text/plain", name="theirs.txt")
    seen = []
    for data in (known, fresh):
        made = upload(me, session, data, "application/x-probe")
        got = me.get(download_of(me, session, data))
        seen.append(str([made.status_code, made.json(), {**made.headers}, {**got.headers}]))
        got.close()
    digests = [hashlib.sha256(data).hexdigest() for data in (known, fresh)]
    plain = [text.replace(digest, "#").replace(digest[:16], "#") for text, digest in zip(seen, digests, strict=True)]
    assert plain[0] == plain[1]


@pytest.mark.parametrize(
    ("role", "own", "reads", "writes"),
    [
        ("member", True, True, True),
        ("member", False, False, False),
        ("reader", False, True, False),
        ("writer", False, True, True),
        (None, False, False, False),
    ],
)
def test_attachments_go_by_the_table_of_rights(role: str | None, *, own: bool, reads: bool, writes: bool) -> None:
    me = caller(role)
    session = stored(user=me.user if own else None)
    session.history().attachments.add(CAT, media_type="image/png")
    got = me.get(download_of(me, session))
    assert got.status_code == (200 if reads else 404)
    got.close()
    assert upload(me, session, b"new").status_code == (201 if writes else 403 if reads else 404)


def test_a_hash_alone_gives_nobody_the_bytes_of_another_session() -> None:
    me, session, other = caller(), stored(), stored("other")
    theirs = caller(workspace="rival")
    part = other.history().attachments.add(CAT, media_type="image/png")
    assert me.get(download_of(me, session)).status_code == 404
    assert theirs.get(download_of(theirs, stored("mine", "rival"))).status_code == 404
    for wrong in ("x", "a" * 64, "A" * 64):
        assert me.get(f"{me.session(other)}attachments/{wrong}/").status_code == 404
    refused = me.post(me.messages(session), {"role": "user", "content": [part]})
    assert (refused.status_code, refused.json()["field"]) == (422, "content")
    assert me.post(me.messages(session), {"role": "user", "content": "x"}).status_code == 201
    assert me.patch(f"{me.messages(session)}1/", {"content": [part]}).status_code == 422
    assert me.post(me.messages(other), {"role": "user", "content": [part]}).status_code == 201


def test_what_is_gone_is_not_found() -> None:
    me, session = caller("admin"), stored()
    part = session.history().attachments.add(CAT, media_type="image/png")
    me.post(me.messages(session), {"role": "user", "content": [part]})
    assert me.delete(f"{me.messages(session)}1/").status_code == 204
    assert me.get(download_of(me, session)).status_code == 404


def test_what_cannot_be_stored_is_refused(settings: Any) -> None:
    settings.CHAT_MEMORY = {"ATTACHMENT_TYPES": ["image/*"], "MAX_ATTACHMENT_BYTES": 20}
    me, session = caller(), stored()
    for data, kind, status in (
        (b"x", "text/html", 422),
        (b"x", "image", 422),
        (b"x" * 21, "image/png", 413),
        (b"x", "multipart/form-data; boundary=x", 415),
        (b"x", "application/x-www-form-urlencoded", 415),
    ):
        assert upload(me, session, data, kind).status_code == status
    assert upload(me, session, query="?name=" + "x" * 256).status_code == 422
    assert upload(me, session, query="?no=1").status_code == 400
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 5
    assert upload(me, session).status_code == 413
    assert not Attachment.objects.exists()


def test_an_attachment_of_a_branch_is_one_of_the_session() -> None:
    me, session = caller(), stored(messages=1)
    draft = session.history().fork("draft")
    part = draft.attachments.add(CAT, media_type="image/png")
    body = {"role": "user", "content": [part]}
    assert me.post(f"{me.messages(session)}?branch=draft", body).status_code == 201
    got = me.get(download_of(me, session))
    assert got.status_code == 200
    got.close()
    assert conversation("k", "acme", branch="draft").delete()
    assert me.get(download_of(me, session)).status_code == 404


def test_a_message_of_very_many_references_is_refused_before_any_is_looked_for() -> None:
    """What is refused costs no statement beyond the look-up of the session."""
    me, session = caller(), stored(messages=1)

    def parts(number: int) -> list[dict[str, Any]]:
        names = (hashlib.sha256(str(each).encode()).hexdigest() for each in range(number))
        return [{"type": "image_ref", "image_ref": {"sha256": name}} for name in names]

    one: dict[str, Any] = {"role": "user", "content": parts(MAX_REFERENCES + 1)}
    halves = [{"role": "user", "content": half} for half in (parts(600), parts(1_200)[600:])]
    with CaptureQueriesContext(connection) as few:
        me.post(me.messages(session), {"role": "nobody", "content": "x"})
    for body, code in (
        (one, "MAX_REFERENCES"),
        (halves, "MAX_REFERENCES"),
        ({**one, "content": parts(20_000)}, "MAX_PARTS"),
    ):
        with CaptureQueriesContext(connection) as used:
            refused = me.post(me.messages(session), body)
        assert (refused.status_code, refused.json()["field"].rpartition(".")[2]) == (413, "content")
        assert code in refused.json()["detail"]
        assert len(used) == len(few)
    assert me.patch(f"{me.messages(session)}1/", {"content": one["content"]}).status_code == 413
    with pytest.raises(TooLarge, match="1001 different attachments"):
        session.history().append(Message.user(one["content"]))
    missing = me.post(me.messages(session), {"role": "user", "content": parts(MAX_REFERENCES)})
    assert missing.status_code == 422
