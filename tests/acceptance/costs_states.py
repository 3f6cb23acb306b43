"""The worst that the limits allow to be stored, beside the least of the same kind, for the test of costs."""

import hashlib
import json
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from urllib.parse import quote

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection
from django.db.models import Model

from chat_memory.conf import Settings
from chat_memory.models import (
    Attachment,
    AttachmentReference,
    Draft,
    Feedback,
    Message,
    Revision,
    Session,
    Summary,
    Workspace,
    WorkspaceMember,
)
from chat_memory.rules.feedback import COMMENT_LENGTH
from chat_memory.rules.json_values import LARGEST_JSON
from chat_memory.rules.message import CALL_ID_LENGTH
from chat_memory.rules.session import MAX_TAGS, TAG_LENGTH
from tests.acceptance.admin_world import staff

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
MIB = 1024 * 1024
QUOTES = "'" * MIB
"""A content that is six times as long in HTML."""
MARKS = "̀̕"
"""Two marks in an order that normalizing has to change: doing so for many takes the square of their number."""
OBJECTS = 349_000
"""So many empty objects fill the largest content."""
METADATA = {"list": [{}] * 21_000, "text": "x" * 1_000}
"""Nearly the largest, and of as many values as fit."""
TAGS = [f"{number:03}" + "ä" * (TAG_LENGTH - 3) for number in range(MAX_TAGS)]
FLOOD, TURN, SESSIONS, BRANCHES, DEEP, MEMBERS, WORKSPACES, FORMER, SUMMARIES, LOGGED = (
    *(100, 10_000, 500, 2_000, 900, 1_000, 300, 60, 25, 300),
)
RATED, VOTERS = 100, 1_000
"""A page of messages with feedback, and the people who think something of the first."""
PARTS = 10_000
"""So many parts, and so many calls, the limits allow to one message."""


def repeat(row: Model, times: int, **columns: str) -> None:
    """Store a row so many times again, inside the database; ``columns`` are expressions over ``i``, from 1 on."""
    if not times:
        return
    quoted = connection.ops.quote_name
    table, names = quoted(row._meta.db_table), [str(field.column) for field in row._meta.concrete_fields]
    names.remove("id")
    into, chosen = map(quoted, names), (columns.get(name, f"r.{quoted(name)}") for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {times})
INSERT INTO {table} ({", ".join(into)}) SELECT {", ".join(chosen)} FROM {table} r, n WHERE r.id = %s""",  # noqa: S608
            [row.pk],
        )


class World:
    """Two workspaces of one member of staff: ``few`` has one of each kind, ``many`` the most; ids by name."""

    def __init__(self) -> None:
        self.staff = staff("costs-staff")
        self.ids: dict[str, Any] = {}
        self.few, self.many = self._workspace("few"), self._workspace("many")
        self._people()
        for name, workspace, largest in (("few", self.few, False), ("many", self.many, True)):
            self._sessions(name, workspace, largest=largest)
        self._logged()

    def session(self, name: str, workspace: Workspace, size: int = 0, **columns: Any) -> Session:
        """A stored session of that many messages, which somebody else stores; its id goes by this name."""
        moments = dict.fromkeys(("created_at", "updated_at", "active_at", "listed_at"), NOW)
        counted = {"last_seq": size, "message_count": size, "last_turn": min(size, 1), "version": 1}
        made = Session.objects.create(workspace=workspace, **{"key": name} | moments | counted | columns)
        self.ids[name] = made.pk
        return made

    def messages(self, session: Session, *each: dict[str, Any]) -> None:
        """Messages at the positions from 1 on; the id of the first goes by the session's key and ``_message``."""
        common = {"workspace_id": session.workspace_id, "created_at": NOW, "turn": 1, "role": "user"}
        seq = 1
        for columns, equal in groupby(each):
            number = len([*equal])
            row = Message.objects.create(session=session, **{**common, "seq": seq, "client_id": f"m{seq}", **columns})
            self.ids.setdefault(f"{session.key}_message", row.pk)
            repeat(row, number - 1, seq=f"{seq} + i", client_id=f"'m' || ({seq} + i)")
            seq += number

    def _workspace(self, slug: str) -> Workspace:
        made = Workspace.objects.create(slug=slug, name="ä" * 200)
        grants = {"may_send_system": True, "may_send_tool": True}
        membership = WorkspaceMember.objects.create(workspace=made, user=self.staff, role="admin", **grants)
        self.ids |= {slug: made.pk, f"{slug}_membership": membership.pk}
        return made

    def _people(self) -> None:
        users = User.objects.bulk_create(User(username=f"u{number}") for number in range(MEMBERS))
        WorkspaceMember.objects.bulk_create(WorkspaceMember(workspace=self.many, user=user) for user in users)
        others = Workspace.objects.bulk_create(Workspace(slug=f"w-{number}") for number in range(WORKSPACES))
        Workspace.objects.update(metadata=METADATA)
        WorkspaceMember.objects.bulk_create(
            WorkspaceMember(workspace=workspace, user=self.staff, role="admin") for workspace in others
        )

    def _sessions(self, name: str, workspace: Workspace, *, largest: bool) -> None:
        """Each kind of content, in a session of its own."""
        text = QUOTES if largest else "x"
        objects = f"[{','.join(['{}'] * (OBJECTS if largest else 1))}]"
        named = f"a{MARKS * (MIB // 6)}" if largest else "x"
        filled = json.dumps([{"id": named, "function": {"name": "f", "arguments": "{}"}}], ensure_ascii=False)
        pad = json.dumps({"list": [{}] * (LARGEST_JSON - 2 if largest else 1)})
        flood = {"content": text, "metadata": json.dumps({"text": text[:60_000]})}
        long = self.session(f"{name}_flood", workspace, FLOOD if largest else 1, tags=TAGS if largest else TAGS[:1])
        self.messages(long, flood, *[flood | {"role": "assistant"}] * (FLOOD - 1 if largest else 0))
        part, call = {"type": "text", "text": "'" * 70}, {"id": "c", "name": "f", "args": "'" * 60}
        allowed = self.session(f"{name}_allowed", workspace, 2)
        many = [json.dumps([each] * (PARTS if largest else 1)) for each in (part, call)]
        answer = {"role": "assistant", "parts": many[0], "tool_calls": many[1], "extra": pad}
        self.messages(allowed, {"content": "q"}, answer)
        parts = self.session(f"{name}_parts", workspace, 1)
        self.messages(parts, {"role": "assistant", "parts": objects, "tool_calls": objects, "extra": pad})
        marks = self.session(f"{name}_marks", workspace, 2, metadata=METADATA if largest else {})
        ids = {"tool_call_id": f"a{MARKS * ((CALL_ID_LENGTH - 1) // 2)}" if largest else "x", "role": "tool"}
        self.messages(marks, {"role": "assistant", "content": "", "tool_calls": filled}, ids | {"content": text})
        longest = self.session(f"{name}_longest", workspace, 1)
        called = json.dumps([{"id": "c", "function": {"name": "f", "arguments": text}}])
        everywhere = {"tool_calls": called, "metadata": flood["metadata"], "extra": json.dumps({"x": text})}
        self.messages(longest, {"role": "assistant", "content": text} | everywhere)
        Revision.objects.create(workspace=workspace, session=longest, seq=1, content=text, edited_at=NOW)
        self._bombs(name, workspace, largest=largest)
        turn = self.session(f"{name}_turn", workspace, TURN if largest else 1)
        answers = [{"role": "assistant", "content": "ok"}] * (TURN - 1 if largest else 0)
        self.messages(turn, {"content": "q"}, *answers)
        self._former(name, workspace, text, largest=largest)
        self._branches(name, workspace, largest=largest)
        for kind, size in (("changed", 2), ("filled", 1), ("gone", 2_000 if largest else 1)):
            self.messages(self.session(f"{name}_{kind}", workspace, size), *[{"content": "x"}] * size)
        self._rated(name, workspace, largest=largest)
        self._drafted(name, workspace, largest=largest)
        self._attached(name, workspace, largest=largest)
        if largest:
            self._listed(workspace)

    def _rated(self, name: str, workspace: Workspace, *, largest: bool) -> None:
        """Feedback with the longest comments on a page of messages, much of it on the first."""
        session = self.session(f"{name}_rated", workspace, RATED if largest else 1)
        self.messages(session, *[{"role": "assistant", "content": "x"}] * (RATED if largest else 1))
        on = {"workspace": workspace, "session": session, "created_at": NOW, "updated_at": NOW}
        said = {"vote": -1, "comment": "ä" * COMMENT_LENGTH if largest else "x", "model": "m"}
        made = [
            Feedback(**on, **said, seq=seq, user_key=f"{number}")
            for seq, voters in ((1, VOTERS), *((seq, 1) for seq in range(2, RATED + 1)))
            for number in range(voters if largest else 1)
            if largest or seq == 1
        ]
        for start in range(0, len(made), 500):
            Feedback.objects.bulk_create(made[start : start + 500])
        self.ids[f"{name}_feedback"] = Feedback.objects.filter(session=session).values_list("pk", flat=True).first()

    def _drafted(self, name: str, workspace: Workspace, *, largest: bool) -> None:
        """As many drafts as a session may have, each of the largest text; they lapse long after the test."""
        session = self.session(f"{name}_drafted", workspace, 1)
        self.messages(session, {"content": "x"})
        text, later = QUOTES if largest else "x", int((NOW.timestamp() + 10**9) * 1000)
        said = {"role": "assistant", "text": text, "length": len(text), "begun": later, "touched": later}
        for number in range(Settings().max_drafts if largest else 1):
            Draft.objects.create(workspace=workspace, session=session, client_id=f"d{number}", **said)

    def _attached(self, name: str, workspace: Workspace, *, largest: bool) -> None:
        """A file of the largest size."""
        session = self.session(f"{name}_attached", workspace, 1)
        data = b"x" * (Settings().max_attachment_bytes if largest else 1)
        sha256 = hashlib.sha256(data).hexdigest()
        self.messages(session, {"role": "user", "content": "x"})
        named = f"chat_memory/costs/{name}"
        storages["default"].delete(named)
        storages["default"].save(named, ContentFile(data))
        said = {"media_type": "image/png", "size": len(data), "created_at": NOW, "ready": True}
        Attachment.objects.create(workspace=workspace, sha256=sha256, file=named, **said)
        AttachmentReference.objects.create(workspace=workspace, session=session, seq=1, sha256=sha256)
        self.ids[f"{name}_hash"] = sha256

    def _bombs(self, name: str, workspace: Workspace, *, largest: bool) -> None:
        """JSON that indentation lengthens without end, as the arguments of a call, a result and a part."""
        levels, zeros = (900, 500_000) if largest else (1, 1)
        bomb = "[" * levels + ",".join(["0"] * zeros) + "]" * levels
        shallow = "[" * min(levels, 28) + ",".join(["0"] * zeros) + "]" * min(levels, 28)
        call = json.dumps([{"id": "c", "function": {"name": "f", "arguments": bomb}}])
        session = self.session(f"{name}_bomb", workspace, 3)
        self.messages(
            session,
            {"role": "assistant", "content": "", "tool_calls": call},
            {"role": "tool", "content": bomb, "tool_call_id": "c"},
            {"parts": f'[{{"type": "odd", "values": {shallow}}}]'},
        )

    def _former(self, name: str, workspace: Workspace, text: str, *, largest: bool) -> None:
        session = self.session(f"{name}_former", workspace, 1)
        self.messages(session, {"content": "now"})
        same = {"workspace": workspace, "session": session}
        repeat(Revision.objects.create(**same, seq=1, content=text, edited_at=NOW), FORMER - 1 if largest else 0)
        said = f"a{MARKS * (MIB // 4)}" if largest else "x"
        covered = {"first_seq": 1, "last_seq": 1, "created_at": NOW}
        Summary.objects.bulk_create(Summary(**same, **covered, text=said) for _ in range(SUMMARIES if largest else 1))

    def _branches(self, name: str, workspace: Workspace, *, largest: bool) -> None:
        """Branches beside each other, and each made of the one before."""
        for kind, number in (("wide", BRANCHES), ("deep", DEEP)):
            key = f"{name}_{kind}"
            root = self.session(key, workspace, 1, branch_number=number)
            self.messages(root, {"content": "x"})
            moments = dict.fromkeys(("created_at", "updated_at", "active_at", "listed_at"), NOW)
            made: list[Session] = []
            for index in range(number if largest else 1):
                parent = root if kind == "wide" or not made else made[-1]
                size = parent.last_seq + 1 if kind == "deep" else 2
                counted = {
                    "last_seq": size,
                    "message_count": size,
                    "fork_seq": size - 1,
                    "version": 1,
                    "last_turn": size,
                }
                row = {
                    "workspace": workspace,
                    "key": key,
                    "branch": f"b{index:04}{'ä' * 90}",
                    "parent": parent,
                    "branch_number": index + 1,
                }
                made.append(Session(**row, **counted, **moments))
            for start in range(0, len(made), 500):
                Session.objects.bulk_create(made[start : start + 500])
            own = {"workspace": workspace, "created_at": NOW, "role": "user", "content": "x"}
            Message.objects.bulk_create(
                [
                    Message(session=row, seq=row.last_seq, client_id=f"{row.pk}", turn=row.last_seq, **own)
                    for row in made
                ],
                batch_size=500,
            )
            self.ids |= {f"{key}_branch": made[-1].pk, f"{key}_name": quote(made[-1].branch)}

    def _listed(self, workspace: Workspace) -> None:
        """Conversations with all that fits into their fields."""
        moments = dict.fromkeys(("created_at", "updated_at", "active_at", "listed_at"), NOW)
        columns = {"title": "ä" * 200, "user_key": "o" * 255}
        rows = [
            Session(workspace=workspace, key=f"{number:05}{'ä' * 250}", **columns, **moments)
            for number in range(SESSIONS)
        ]
        Session.objects.bulk_create(rows)
        Session.objects.filter(user_key="o" * 255).update(tags=TAGS, metadata=METADATA)
        self.ids["many_listed"] = rows[0].pk
        self.listed = [row.pk for row in rows]

    def _logged(self) -> None:
        """Django's own log of the pages."""
        said = json.dumps([{"changed": {"fields": ["x" * 10_000]}}])
        kinds = {
            model: ContentType.objects.get_for_model(model) for model in (Workspace, WorkspaceMember, Session, Message)
        }
        places = {Workspace: "", WorkspaceMember: "_membership", Session: "_flood", Message: "_flood_message"}
        LogEntry.objects.bulk_create(
            LogEntry(
                user=self.staff,
                content_type=kind,
                object_id=str(self.ids[f"{name}{places[model]}"]),
                object_repr="x" * 200,
                action_flag=CHANGE,
                change_message=said,
            )
            for model, kind in kinds.items()
            for name, number in (("few", 1), ("many", LOGGED))
            for _ in range(number)
        )
