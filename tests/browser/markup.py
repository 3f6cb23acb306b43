"""Stores markup in every field that a conversation has, in as many ways as people have found to make it act."""

import json
from typing import Any, NamedTuple

from django.contrib.auth.models import User

from chat_memory import Message, conversation
from chat_memory.models import Session, Workspace, WorkspaceMember

# Each bears the attribute `planted` wherever it would be an element, and none the word a template would make of it.
PAYLOADS = {
    "script": "<script planted>alert(1)</script>",
    "event": "<img planted src=x onerror=alert(1)>",
    "svg": "<svg planted onload=alert(1)><script>alert(1)</script></svg>",
    "double quotes": '" autofocus onfocus=alert(1) planted x="><a planted href="javascript:alert(1)">',
    "single quotes": "' autofocus onfocus=alert(1) planted x='><a planted href='javascript:alert(1)'>",
    "backticks": "`-alert(1)-`</script>';alert(1);//<b planted>",
    "script address": "javascript:alert(1)//<b planted>",
    "data address": "data:text/html,<script planted>alert(1)</script>",
    "svg address": "data:image/svg+xml,<svg planted xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "template": "{{ 'EVAL'|add:'UATED' }}{% firstof 'EVAL' %}${'EVAL'+'UATED'}<b planted>",
    "directions": "\u202e\u2066\u200b\ufeff\u200d\u2029<b planted>\u061c",
    "closing tags": "--></pre></textarea></title></style></details><img planted src=x onerror=alert(1)>",
    "styles": "<style planted>@import 'http://elsewhere.invalid/';*{background:url(/x)}</style>",
    "refresh": "<meta planted http-equiv=refresh content='0;url=http://elsewhere.invalid/'>",
    "frames": "<iframe planted srcdoc='<script>alert(1)</script>'></iframe><object planted data=/x>",
    "base": "<base planted href=http://elsewhere.invalid/><form planted action=//elsewhere.invalid>",
    "encoded": "&lt;b planted&gt;%3Cb planted%3E&#60;b planted&#62;\\u003cb planted\\u003e\\x3cb planted>",
    "address": "http://elsewhere.invalid/\"onmouseover='alert(1)'<b planted>",
    "authority": "//elsewhere.invalid/<b planted>",
}


class Planted(NamedTuple):
    """One payload stored in everything that somebody of a workspace may store."""

    payload: str
    owner: User
    session: Session


def planted(name: str) -> Planted:
    """A workspace whose every field holds that payload, with a conversation of two branches."""
    payload = PAYLOADS[name]
    owner = User.objects.create_user(
        payload[:150], first_name=payload[:150], last_name=payload[:150], is_staff=True, is_superuser=True
    )
    workspace = Workspace.objects.create(slug=name.replace(" ", "-"), name=payload, metadata={payload: [payload]})
    WorkspaceMember.objects.create(workspace=workspace, user=owner, role="admin")
    chat = conversation(payload, workspace.slug, user=owner)
    chat.open(title=payload, tags=[payload[:100]], metadata={payload: [payload]})
    chat.append(*_messages(payload))
    chat.edit(1, payload + " edited once")
    chat.edit(2, [{"type": "text", "text": payload}])
    chat.append(Message.user("to be redacted"), Message.user(payload))
    chat.redact(6, by=payload)
    chat.fork(payload[:100], at=2).append(Message.user(payload), Message.assistant(payload))
    chat.summarize(lambda _messages: payload, keep=1, model=payload)
    keyed = conversation(f"{payload} of a key", workspace.slug, user=payload)
    keyed.append(Message.user(payload), Message.assistant(payload, metadata={"model": payload}))
    keyed.feedback.give(2, 1, comment=payload, by=payload)
    growing = chat.streaming(id=f"{payload} of a draft", name=payload, metadata={payload: payload})
    growing.__enter__().write(payload)
    growing.flush()
    session = Session.objects.get(workspace=workspace, key=payload, parent=None)
    return Planted(payload, owner, session)


def _messages(payload: str) -> list[Message]:
    rest: dict[str, Any] = {"name": payload, "metadata": {payload: payload}, "extra": {payload: [payload]}}
    address = {"url": f"https://elsewhere.invalid/?q={'/'.join(payload.split())}"}
    parts = [
        {"type": "text", "text": payload},
        {"type": payload, payload: payload},
        {"type": "image_url", "image_url": {"url": payload}},
        {"type": "image_url", "image_url": address},
        {"type": "input_image", "image_url": payload},
        {"type": "image_url", "image_url": {"url": f"data:{payload},{payload}"}},
        {"type": "image_url", "image_url": {"url": f"data:image/svg+xml;base64,{payload}"}},
        {"type": "tool_result", "tool_use_id": payload, "content": payload},
        {payload: payload},
    ]
    calls = [
        {"id": payload, "type": payload, "function": {"name": payload, "arguments": json.dumps({payload: payload})}},
        {"id": "another", "function": {"name": payload, "arguments": payload}},
        {payload: payload},
    ]
    return [
        Message.user(payload, id=payload, **rest),
        Message.user(parts, **rest),
        Message.assistant(payload, tool_calls=calls, **rest),
        Message.tool(payload, tool_call_id=payload, **rest),
        Message.tool(payload, tool_call_id=f"{payload} of no call", **rest),
    ]
