"""Owns ``chat.attachments``: adding and reading attachments, and turning references into parts for a model."""

from __future__ import annotations

import mimetypes
from base64 import b64encode
from collections.abc import Callable, Iterable
from hashlib import sha256 as hashing
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

import msgspec

from chat_memory.conf import Settings, live
from chat_memory.exceptions import AttachmentNotFound, TooLarge, ValidationError
from chat_memory.history.handle import Place
from chat_memory.history.twins import twin
from chat_memory.records import Attachment, Message, Ref, is_sha256, kind_of, named, ref_of
from chat_memory.rules import attachments as rules
from chat_memory.rules.attachments import hashes
from chat_memory.rules.json_values import shown
from chat_memory.storage.contract import AttachmentStore, Upload

UNKNOWN_TYPE = "application/octet-stream"
CHUNK = 64 * 1024
SPOOLED = 1024 * 1024
"""The largest file, in bytes, that is kept in memory while its hash is computed; a larger one goes to disk."""
Address = Callable[[Attachment], str]


class ConversationAttachments:
    """Pictures, sound and files of a conversation; messages hold parts that refer to them.

    The bytes are stored once per workspace, under their SHA-256, in the storage that ATTACHMENT_STORAGE names. They are
    deleted with the last message that refers to them. Bytes that no message refers to yet are kept for a day.

    Every method but ``link`` raises NotSupported where the back end keeps no attachments.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    def add(self, source: bytes | BinaryIO, *, media_type: str | None = None, name: str = "") -> dict[str, Any]:
        """Store bytes and return the content part that refers to them; an unknown conversation is created.

        Args:
            source: the bytes, or a binary file, which is read from its current position on.
            media_type: such as ``image/png``; None: guessed from the name.
            name: the file name to show to people; "": the name of ``source``, if it has one.

        Raises:
            ValidationError: the source gives no bytes, or its type is not among ATTACHMENT_TYPES.
            TooLarge: there are more than MAX_ATTACHMENT_BYTES.
            TransactionOpen: a transaction is open; its rollback would not remove the stored file.
        """
        settings = live.now()
        given = rules.check_name(name or _name_of(source))
        kind = rules.check_type(media_type or mimetypes.guess_type(given)[0] or UNKNOWN_TYPE, settings.attachment_types)
        with _spooled(source, settings) as file:
            digest, size = _measured(file)
            if not size:
                raise ValidationError("gives no bytes: it is empty, or was read to its end before", field="source")
            store = self._store
            self.place.adapter.sessions.open(self.place.address)
            added = store.add(self.place.address, Upload(digest, size, kind, file))
            # With the media type of this caller, even if the same bytes were stored before under another one.
            return msgspec.structs.replace(added, media_type=kind).part(given)

    aadd = twin(add)

    def link(self, url: str, *, media_type: str = "", name: str = "") -> dict[str, Any]:
        """A content part that refers to a URL; the URL is stored as given, and this package never fetches it.

        Args:
            url: an http or https URL of at most 2,000 characters.
            media_type: the type of what is there; "": guessed from the URL.
            name: the file name to show to people.

        Raises:
            ValidationError: the URL, the media type or the name is not usable.
        """
        address = rules.check_url(url)
        guessed = media_type or mimetypes.guess_type(address.partition("?")[0])[0] or ""
        kind = rules.check_type(guessed, ("*/*",)) if guessed else ""
        return rules.link(kind_of(kind), address, kind, rules.check_name(name))

    def get(self, sha256: str) -> Attachment | None:
        """An attachment that was added to the conversation, or that its messages refer to; None for any other."""
        found = self._store.find(self.place.address, [sha256]) if _is_hash(sha256) else []
        return found[0] if found else None

    aget = twin(get)

    def entries(self) -> list[Attachment]:
        """The attachments that were added to the conversation, or that its messages refer to, oldest first."""
        return self._store.find(self.place.address)

    aentries = twin(entries)

    def file(self, sha256: str) -> BinaryIO:
        """An open file with the bytes of an attachment of the conversation; the caller must close it.

        Raises:
            AttachmentNotFound: the conversation has no such attachment, or its file is gone.
        """
        if not _is_hash(sha256):
            raise AttachmentNotFound(self.place.address.key, str(sha256))
        return self._store.open(self.place.address, sha256)

    afile = twin(file)

    def read(self, sha256: str) -> bytes:
        """The bytes of an attachment of the conversation.

        Raises:
            AttachmentNotFound: as ``file``.
        """
        with self.file(sha256) as file:
            return file.read()

    aread = twin(read)

    def resolve(self, messages: Iterable[Message], *, url: Address | None = None) -> list[Message]:
        """The messages, with each part that refers to an attachment replaced by one that a model takes.

        Pictures become ``image_url`` parts, sound ``input_audio`` parts and files ``file`` parts, with the bytes
        inline. A linked picture stays a URL, which the provider fetches. Any other link, and an attachment that is not
        stored here, becomes a text part that names it. Other parts and messages are returned unchanged.

        Args:
            messages: as ``window`` or ``context`` gives them.
            url: returns the URL of a picture from its Attachment, such as a signed URL of an object store; None:
                pictures are inline.
        """
        given = list(messages)
        wanted = hashes(message.content for message in given)
        known = {each.sha256: each for each in self._store.find(self.place.address, wanted)} if wanted else {}
        return [self._resolved(message, known, url) for message in given]

    aresolve = twin(resolve)

    def _resolved(self, message: Message, known: dict[str, Attachment], url: Address | None) -> Message:
        content = self._parts(message.content, known, url) if isinstance(message.content, list) else message.content
        return message if content is message.content else msgspec.structs.replace(message, content=content)

    def _parts(self, parts: list[Any], known: dict[str, Attachment], url: Address | None) -> list[Any]:
        """The parts, resolved inside tool results too; the same list object if no part refers to an attachment."""
        changed = [self._part(part, known, url) for part in parts]
        return parts if all(new is old for new, old in zip(changed, parts, strict=True)) else changed

    def _part(self, part: Any, known: dict[str, Attachment], url: Address | None) -> Any:
        ref = ref_of(part)
        if ref is None:
            inner = part.get("content") if isinstance(part, dict) else None
            own = self._parts(inner, known, url) if isinstance(inner, list) else inner
            return part if own is inner else {**part, "content": own}
        if ref.url:
            return _picture(ref.url) if ref.kind == "image_ref" else named(ref)
        attachment = known.get(ref.sha256)
        if attachment is None:
            return named(ref)
        if url is not None and ref.kind == "image_ref":
            return _picture(url(attachment))
        try:
            return _inline(ref, attachment, self.read(ref.sha256))
        except AttachmentNotFound:
            return named(ref)

    @property
    def _store(self) -> AttachmentStore:
        return self.place.adapter.part(AttachmentStore)


def _picture(address: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": address}}


def _inline(ref: Ref, attachment: Attachment, data: bytes) -> dict[str, Any]:
    """The part with the bytes inline, in OpenAI's form."""
    encoded = b64encode(data).decode()
    media_type = ref.media_type if rules.is_type(ref.media_type) else attachment.media_type
    if ref.kind == "image_ref":
        return _picture(f"data:{media_type};base64,{encoded}")
    if ref.kind == "audio_ref":
        form = media_type.partition("/")[2].removeprefix("x-")
        return {"type": "input_audio", "input_audio": {"data": encoded, "format": _FORMATS.get(form, form)}}
    name = ref.name or f"file{mimetypes.guess_extension(media_type) or ''}"
    return {"type": "file", "file": {"filename": name, "file_data": f"data:{media_type};base64,{encoded}"}}


_FORMATS = {"mpeg": "mp3", "wave": "wav", "vnd.wave": "wav"}
"""OpenAI's name of a sound format, by the subtype of its media type."""


def _is_hash(text: object) -> bool:
    return isinstance(text, str) and is_sha256(text)


def _name_of(source: object) -> str:
    """The last part of a file's name; "" where it has none."""
    name = getattr(source, "name", "")
    return name.replace("\\", "/").rpartition("/")[2] if isinstance(name, str) else ""


def _spooled(source: object, settings: Settings) -> BinaryIO:
    """A temporary file with the bytes of a source, positioned at its beginning.

    Raises:
        ValidationError: the source gives no bytes.
        TooLarge: it gives more than MAX_ATTACHMENT_BYTES.
    """
    most = settings.max_attachment_bytes
    if isinstance(source, (bytes, bytearray, memoryview)):
        _check_size(len(source), most)
        return BytesIO(source)
    read = getattr(source, "read", None)
    if not callable(read):
        raise ValidationError(f"must be bytes or a file that gives bytes, not {shown(source)}", field="source")
    file = cast("BinaryIO", SpooledTemporaryFile(SPOOLED))  # noqa: SIM115  # the caller closes it
    size = 0
    for chunk in iter(lambda: read(CHUNK), b""):
        if not isinstance(chunk, bytes):
            file.close()
            raise ValidationError("is a file of text: open it with 'rb'", field="source")
        size += len(chunk)
        if size > most:
            file.close()
        _check_size(size, most)
        file.write(chunk)
    file.seek(0)
    return file


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise TooLarge(f"more than MAX_ATTACHMENT_BYTES ({most})", field="source")


def _measured(file: BinaryIO) -> tuple[str, int]:
    """The hash and the size of a file, which is positioned at its beginning afterwards."""
    digest, size = hashing(), 0
    for chunk in iter(lambda: file.read(CHUNK), b""):
        digest.update(chunk)
        size += len(chunk)
    file.seek(0)
    return digest.hexdigest(), size
