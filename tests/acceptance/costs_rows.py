"""The requests whose costs are measured: every route of the API and every page of the admin, each by two addresses."""

import json
from typing import Any, NamedTuple
from urllib.parse import unquote

from chat_memory.admin.base import AT_ONCE
from chat_memory.admin.presentation import SECTIONS
from tests.acceptance.costs_states import MIB, World

LONGEST = 8 * MIB
"""No answer is longer, unless its row says so."""


class Row(NamedTuple):
    """A request, with two addresses of it; what stands in braces is an id of the world's."""

    name: str
    many: str
    few: str | None = None
    method: str = "GET"
    body: Any = None
    status: int = 200
    form: bool = False
    most: int = LONGEST
    refused: int = 0
    """The status where the most is stored, if that is too much: then the statements are fewer."""
    more: int = 0
    """How many statements more the most may take, a number that does not grow with it."""

    def request(self, world: World, of: str) -> dict[str, Any]:
        """What the worker is told."""
        path = (self.many if of == "many" or self.few is None else self.few).format(of=of, **world.ids)
        body = self.body(of, world) if callable(self.body) else self.body
        request = {"method": self.method, "path": path, "session": world.ids["session"]}
        if body is not None:
            request |= {"body": body if self.form else json.dumps(body)}
        if self.form:
            request |= {"content_type": "application/x-www-form-urlencoded"}
        return request


ADMIN = "/admin/chat_memory"
API = "/api/workspaces/{of}/sessions"
AUTOCOMPLETE = "/admin/autocomplete/?app_label=chat_memory&model_name=workspacemember&field_name=workspace&term="
ACROSS = "action=delete_selected&select_across=1&index=0&_selected_action={}"
OF_A_WORKSPACE = "slug=few&name=x&metadata={}&members-TOTAL_FORMS=2000&members-INITIAL_FORMS=0"


def messages_to_store(of: str, _world: World) -> Any:
    """As many as fit into one call."""
    return [{"role": "user", "content": "x"}] * (10_000 if of == "many" else 1)


def bytes_to_store(of: str, _world: World) -> Any:
    """As many as fit into a body, as a text of JSON."""
    return "x" * (2_500_000 if of == "many" else 1)


def deepest(of: str, world: World) -> Any:
    """The branch that is made of all the others."""
    return {"branch": unquote(world.ids[f"{of}_deep_name"])}


def every_session(of: str, world: World) -> str:
    """The form of the list, with every row of it selected."""
    return ACROSS.format(world.ids[f"{of}_flood"])


def page_of_sessions(of: str, world: World) -> str:
    """The form of the list, with as many rows selected as an action takes."""
    selected = world.listed[:AT_ONCE] if of == "many" else [world.ids["few_flood"]]
    return "&".join(["action=delete_selected", "index=0", *(f"_selected_action={pk}" for pk in selected)])


def form_of_session(of: str, _world: World) -> str:
    """A form that comes back with an error at the metadata, which are as long as Django takes them."""
    metadata = "'" * (2_400_000 if of == "many" else 1)
    return f"title=x&tags=&metadata={metadata}&archived_at_0=&archived_at_1=&expires_at_0=&expires_at_1="


ADMIN_ROWS = [
    Row("workspaces", f"{ADMIN}/workspace/", f"{ADMIN}/workspace/?slug=few"),
    Row("workspaces searched", f"{ADMIN}/workspace/?q=w", f"{ADMIN}/workspace/?q=few"),
    Row("workspace to make", f"{ADMIN}/workspace/add/"),
    Row("workspace", f"{ADMIN}/workspace/{{many}}/change/", f"{ADMIN}/workspace/{{few}}/change/"),
    Row("workspace to delete", f"{ADMIN}/workspace/{{many}}/delete/", f"{ADMIN}/workspace/{{few}}/delete/"),
    Row("log of a workspace", f"{ADMIN}/workspace/{{many}}/history/", f"{ADMIN}/workspace/{{few}}/history/"),
    Row("workspace sent back", f"{ADMIN}/workspace/{{few}}/change/", method="POST", body=OF_A_WORKSPACE, form=True),
    Row("workspaces found while typing", f"{AUTOCOMPLETE}w", f"{AUTOCOMPLETE}few"),
    Row("members", f"{ADMIN}/workspacemember/?workspace={{of}}"),
    Row("member to make", f"{ADMIN}/workspacemember/add/"),
    *(
        Row(
            f"member: {page}",
            f"{ADMIN}/workspacemember/{{many_membership}}/{page}/",
            f"{ADMIN}/workspacemember/{{few_membership}}/{page}/",
        )
        for page in ("change", "delete", "history")
    ),
    Row("sessions", f"{ADMIN}/session/?workspace={{of}}"),
    Row("sessions, all on a page", f"{ADMIN}/session/?workspace={{of}}&all="),
    Row("sessions searched", f"{ADMIN}/session/?workspace={{of}}&q=" + "o+" * 500),
    Row("sessions to delete", f"{ADMIN}/session/?workspace={{of}}", method="POST", body=page_of_sessions, form=True),
    Row(
        "sessions to delete, every one",
        f"{ADMIN}/session/?workspace={{of}}",
        method="POST",
        body=every_session,
        form=True,
        refused=302,
    ),
    Row("session to make", f"{ADMIN}/session/add/", status=403),
    Row("session", f"{ADMIN}/session/{{many_listed}}/change/", f"{ADMIN}/session/{{few_flood}}/change/"),
    Row(
        "session sent back",
        f"{ADMIN}/session/{{many_flood}}/change/",
        f"{ADMIN}/session/{{few_flood}}/change/",
        method="POST",
        body=form_of_session,
        form=True,
        most=16 * MIB,
    ),
    Row("session to delete", f"{ADMIN}/session/{{many_wide}}/delete/", f"{ADMIN}/session/{{few_wide}}/delete/"),
    Row("log of a session", f"{ADMIN}/session/{{many_flood}}/history/", f"{ADMIN}/session/{{few_flood}}/history/"),
    *(
        Row(
            f"transcript: {kind}",
            f"{ADMIN}/session/{{many_{kind}}}/transcript/",
            f"{ADMIN}/session/{{few_{kind}}}/transcript/",
        )
        for kind in (
            "flood",
            "parts",
            "marks",
            "bomb",
            "turn",
            "former",
            "wide",
            "wide_branch",
            "deep",
            "deep_branch",
            "drafted",
        )
    ),
    Row(
        "transcript: main",
        f"{ADMIN}/session/{{many_wide}}/transcript/main/",
        f"{ADMIN}/session/{{few_wide}}/transcript/main/",
    ),
    Row("messages", f"{ADMIN}/message/?workspace={{of}}"),
    Row("messages, all on a page", f"{ADMIN}/message/?workspace={{of}}&all="),
    Row("messages searched", f"{ADMIN}/message/?workspace={{of}}&q=" + "x+" * 500),
    Row("message to make", f"{ADMIN}/message/add/", status=403),
    *(
        Row(
            f"message: {kind}",
            f"{ADMIN}/message/{{many_{kind}_message}}/change/",
            f"{ADMIN}/message/{{few_{kind}_message}}/change/",
        )
        for kind in ("flood", "parts", "marks", "bomb", "former", "longest")
    ),
    *(
        Row(
            f"message that is long everywhere: {section}",
            f"{ADMIN}/message/{{many_longest_message}}/change/?first={section}",
            f"{ADMIN}/message/{{few_longest_message}}/change/?first={section}",
        )
        for section in SECTIONS
    ),
    Row("message to delete", f"{ADMIN}/message/{{few_flood_message}}/delete/", status=403),
    Row("feedback", f"{ADMIN}/feedback/?workspace={{of}}"),
    Row("feedback, all on a page", f"{ADMIN}/feedback/?workspace={{of}}&all="),
    Row("feedback searched", f"{ADMIN}/feedback/?workspace={{of}}&q=" + "m+" * 500, refused=200),
    Row("feedback to make", f"{ADMIN}/feedback/add/", status=403),
    Row(
        "feedback: change", f"{ADMIN}/feedback/{{many_feedback}}/change/", f"{ADMIN}/feedback/{{few_feedback}}/change/"
    ),
    Row("feedback to delete", f"{ADMIN}/feedback/{{few_feedback}}/delete/", status=403),
    Row(
        "log of feedback",
        f"{ADMIN}/feedback/{{many_feedback}}/history/",
        f"{ADMIN}/feedback/{{few_feedback}}/history/",
    ),
    Row(
        "transcript: rated", f"{ADMIN}/session/{{many_rated}}/transcript/", f"{ADMIN}/session/{{few_rated}}/transcript/"
    ),
    Row(
        "message: rated",
        f"{ADMIN}/message/{{many_rated_message}}/change/",
        f"{ADMIN}/message/{{few_rated_message}}/change/",
    ),
    Row(
        "log of a message",
        f"{ADMIN}/message/{{many_flood_message}}/history/",
        f"{ADMIN}/message/{{few_flood_message}}/history/",
    ),
]


def of_session(kind: str, rest: str = "") -> tuple[str, str]:
    """The addresses of a session in the API, or below it."""
    return f"{API}/{{many_{kind}}}/{rest}", f"{API}/{{few_{kind}}}/{rest}"


def of_branch(rest: str) -> tuple[str, str]:
    """The addresses of the deepest branch."""
    many, few = of_session("deep", rest)
    return many + "{many_deep_name}", few + "{few_deep_name}"


BUDGETS = (("turns", 10_000), ("tokens", 1_000_000_000), ("messages", 10_000))
API_ROWS = [
    Row("root", "/api/"),
    Row("workspaces", "/api/workspaces/?page_size=500", "/api/workspaces/?page_size=1"),
    Row("workspace", "/api/workspaces/{of}/"),
    Row("sessions", f"{API}/?page_size=500"),
    Row("session to make", f"{API}/", method="POST", body={"key": "made"}, status=201),
    Row("session", *of_session("marks")),
    Row("session to change", *of_session("changed"), method="PATCH", body={"title": "new"}),
    Row("session to delete", *of_session("gone"), method="DELETE", status=204),
    *(
        Row(f"messages: {kind}", *of_session(kind, "messages/?page_size=500"))
        for kind in ("flood", "allowed", "marks", "bomb", "turn")
    ),
    Row("messages: deep", *of_branch("messages/?page_size=500&branch=")),
    Row("messages from the beginning", *of_session("flood", "messages/?page_size=500&after_seq=0")),
    Row("messages to store", *of_session("filled", "messages/"), method="POST", body=messages_to_store, status=201),
    *(Row(f"message: {kind}", *of_session(kind, "messages/1/")) for kind in ("flood", "bomb")),
    Row("message of many parts", *of_session("allowed", "messages/2/")),
    Row("message to change", *of_session("changed", "messages/1/"), method="PATCH", body={"metadata": {"a": 1}}),
    Row("message to redact", *of_session("changed", "messages/2/"), method="DELETE", status=204),
    *(
        # A context that is too large is asked for once more, in bounded steps.
        Row(f"context: {kind} by {budget}", *of_session(kind, f"context/?{budget}={size}"), more=3)
        for kind in ("flood", "allowed", "turn", "former")
        for budget, size in BUDGETS
    ),
    *(Row(f"context: deep by {budget}", *of_branch(f"context/?{budget}={size}&branch=")) for budget, size in BUDGETS),
    Row("branches", *of_session("wide", "branches/")),
    Row("branches", *of_session("deep", "branches/")),
    Row("siblings", *of_session("wide", "messages/1/siblings/")),
    Row(
        "question to ask again",
        *of_session("changed", "messages/1/siblings/"),
        method="POST",
        body={"content": "in other words"},
        status=201,
    ),
    *(
        Row(
            f"answer to make again: {kind}",
            *of_session(kind, "messages/1/regenerate/"),
            method="POST",
            body={},
            status=201,
            more=more,
        )
        # What follows is read in steps of so many messages and bytes: the fewer, the more memory.
        for kind, more in (("flood", 40), ("turn", 6), ("allowed", 2))
    ),
    Row(
        "answer to make again: too many",
        *of_session("wide", "messages/1/regenerate/"),
        method="POST",
        body={},
        status=201,
        refused=409,
    ),
    Row("switch", *of_session("deep", "switch/"), method="POST", body=deepest),
    Row("changes: flood", *of_session("flood", "changes/?page_size=500")),
    Row("changes: deep", *of_branch("changes/?page_size=500&branch=")),
    Row("changes of sessions", "/api/workspaces/{of}/changes/?page_size=500"),
    Row("fork", *of_branch("fork/?branch="), method="POST", body={"name": "new"}, status=201),
    Row("fork of too many", *of_session("wide", "fork/"), method="POST", body={"name": "n"}, status=201, refused=409),
    Row("attachment to add", *of_session("filled", "attachments/"), method="POST", body=bytes_to_store, status=201),
    Row(
        "attachment",
        f"{API}/{{many_attached}}/attachments/{{many_hash}}/",
        f"{API}/{{few_attached}}/attachments/{{few_hash}}/",
        most=32 * MIB,
    ),
    Row("drafts", *of_session("drafted", "drafts/")),
    Row("draft", *of_session("drafted", "drafts/d0/")),
    Row("draft that has ended", *of_session("flood", "drafts/m1/")),
    Row("draft to stop", *of_session("drafted", "drafts/d0/stop/"), method="POST", body={}),
    Row("draft by its id", *of_session("drafted", "draft/?id=d0")),
    Row("draft by its id, ended", *of_session("flood", "draft/?id=m1")),
    Row("draft by its id to stop", *of_session("drafted", "draft/stop/?id=d0"), method="POST", body={}),
    Row("feedback of a session", *of_session("rated", "feedback/?page_size=500")),
    Row("feedback on a message", *of_session("rated", "messages/1/feedback/?page_size=500")),
    Row("feedback to give", *of_session("rated", "messages/1/feedback/"), method="PUT", body={"vote": 1}),
    Row("feedback to remove", *of_session("rated", "messages/1/feedback/"), method="DELETE", status=204),
    *(Row(f"feedback by {by}", f"/api/workspaces/{{of}}/feedback/?by={by}") for by in ("day", "model")),
    Row("search without an index", "/api/workspaces/{of}/search/?q=" + "x+" * 30, status=501),
    Row("unknown", "/api/workspaces/{of}/no/such/", status=404),
]
