"""The AsyncAPI document: the WebSockets, their messages and their close codes."""

from gateway import __version__
from gateway.api.documents import supabase_channel
from gateway.api.documents.schemas import COMMANDS, MESSAGES, Schema, ref, schemas
from gateway.realtime.close_codes import CloseCode


def asyncapi(frame_bytes: int) -> Schema:
    """The WebSockets and their messages (AsyncAPI 3.0).

    Args:
        frame_bytes: the longest frame that a client may send.
    """
    names = [kind.__name__ for kind in (*COMMANDS, *MESSAGES)]
    codes = "\n".join(
        f"- {code.value} {code.reason}{'' if code.reconnect else ' (do not connect again)'}" for code in CloseCode
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "AI Image Gateway",
            "version": __version__,
            "description": (
                f"JSON text frames, at most {frame_bytes} bytes from the client. Who you are: an Authorization header, "
                f"the session cookie, or a first `auth` frame.\n\nClose codes:\n{codes}"
            ),
        },
        "channels": {
            "realtime": {
                "address": "/ws",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            },
            "supabase": supabase_channel.channel(),
        },
        "operations": {
            "command": {
                "action": "receive",
                "channel": {"$ref": "#/channels/realtime"},
                "messages": [{"$ref": f"#/channels/realtime/messages/{kind.__name__}"} for kind in COMMANDS],
            },
            "inform": {
                "action": "send",
                "channel": {"$ref": "#/channels/realtime"},
                "messages": [{"$ref": f"#/channels/realtime/messages/{kind.__name__}"} for kind in MESSAGES],
            },
            **supabase_channel.operations(),
        },
        "components": {
            "messages": {name: {"name": name, "payload": ref(name)} for name in (*names, *supabase_channel.NAMES)},
            "schemas": {**schemas(), **supabase_channel.schemas()},
        },
    }
