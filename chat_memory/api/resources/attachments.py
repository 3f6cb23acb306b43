"""Owns the API's views of attachments: uploads for a session's next message, and downloads."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse, HttpResponse, HttpResponseBase
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request

from chat_memory.api import lookup
from chat_memory.api.http.preconditions import unmodified
from chat_memory.api.http.request import ChatRequest
from chat_memory.api.http.responses import json_response
from chat_memory.api.queries import AttachmentQuery, NoQuery
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.api.shapes import AttachmentOut
from chat_memory.exceptions import NotFound

FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
"""Content types of form uploads, which are refused: here the body must be the file itself."""
BYTES = "application/octet-stream"
HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}


class AttachmentViewSet(ChatMemoryViewSet):
    """Stores bytes for a session, and returns them to every member who may read the session."""

    def perform_content_negotiation(self, request: Request, force: bool = True) -> Any:  # noqa: ARG002  # DRF's
        """DRF's negotiation, but it never refuses: the response is bytes, whatever ``Accept`` names."""
        return super().perform_content_negotiation(request, force=True)

    def create(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """Store the body for the session's next message (201). Content-Type gives its type, ``?name=`` its name."""
        query = request.query_as(AttachmentQuery)
        found = lookup.find_session(request, slug, session_id)
        found.member.check_write(own=found.own)
        if (request.content_type or "").partition(";")[0].strip().lower() in FORMS:
            raise UnsupportedMediaType(request.content_type)
        part = found.history().attachments.add(request.raw(), media_type=request.content_type or BYTES, name=query.name)
        said = part[part["type"]]
        location = request.build_absolute_uri(f"{said['sha256']}/")
        out = AttachmentOut(said["sha256"], said["size"], said["media_type"], part)
        return json_response(out, 201, location=location)

    def retrieve(
        self, request: ChatRequest, slug: str, session_id: str, sha256: str, **_captured: Any
    ) -> HttpResponseBase:
        """The bytes of an attachment, as a download: no browser may show them as a page of this host."""
        request.query_as(NoQuery)
        found = lookup.find_session(request, slug, session_id)
        attachments = found.history().attachments
        attachment = attachments.get(sha256)
        if attachment is None:
            raise NotFound
        if (answer := unmodified(request, f'"{sha256}"')) is not None:
            return answer
        # Equal bytes are stored once, with the media type of the first upload. Sending that type could reveal that
        # someone else uploaded the same bytes. The part that refers to the bytes has the right type.
        response = FileResponse(
            attachments.file(sha256),
            as_attachment=True,
            filename=f"{sha256[:16]}.bin",
            content_type=BYTES,
            headers=HEADERS,
        )
        response["ETag"] = f'"{sha256}"'
        response["Content-Length"] = str(attachment.size)
        return response
