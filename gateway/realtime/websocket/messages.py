"""The messages of `/ws`, both ways."""

from typing import Annotated, Literal

import msgspec

from gateway.realtime.frames import text_frame
from gateway.realtime.update import Update

Ref = Annotated[str, msgspec.Meta(max_length=64)] | int | None
"""The client's own mark on a command, returned with its answer."""

RequestIds = Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(min_length=1, max_length=100)]


class Command(msgspec.Struct, tag_field="type", rename="camel"):
    """What a client sends."""


class Auth(Command, tag="auth"):
    """Who is asking; again later, to go on with a fresh token of the same user."""

    token: str
    ref: Ref = None


class Subscribe(Command, tag="subscribe"):
    """Have the updates of requests by id, or of a scope."""

    ref: Ref = None
    request_ids: RequestIds | msgspec.UnsetType = msgspec.UNSET
    scope: Literal["mine", "all"] | msgspec.UnsetType = msgspec.UNSET


class Unsubscribe(Command, tag="unsubscribe"):
    """Have them no longer."""

    ref: Ref = None
    request_ids: RequestIds | msgspec.UnsetType = msgspec.UNSET
    scope: Literal["mine", "all"] | msgspec.UnsetType = msgspec.UNSET


class Ping(Command, tag="ping"):
    """Are you there?"""

    ref: Ref = None


AnyCommand = Auth | Subscribe | Unsubscribe | Ping

_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)
_loose_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


class BadFrame(Exception):
    """Not a JSON object with a `type`: whoever sends it does not speak this protocol."""


class BadCommand(Exception):
    """A frame of this protocol with a fault in it.

    Args:
        code: `unknown_type` or `invalid_command`.
        ref: the command's mark, where it could be read.
    """

    def __init__(self, code: str, error: str, ref: Ref) -> None:
        super().__init__(error)
        self.code = code
        self.ref = ref


def decode_command(text: str) -> AnyCommand:
    """The command in a text frame.

    Raises:
        BadFrame: the connection should be closed.
        BadCommand: the command should be refused; the connection may stay.
    """
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise BadFrame("nested too deeply") from None
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise _explained(text, error) from None


def _explained(text: str, error: Exception) -> BadFrame | BadCommand:
    try:
        frame = _loose_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return BadFrame("not JSON")
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        return BadFrame("no type")
    ref = frame.get("ref")
    if not isinstance(ref, str | int) or isinstance(ref, bool) or (isinstance(ref, str) and len(ref) > 64):
        ref = None
    known = ("auth", "subscribe", "unsubscribe", "ping")
    if frame["type"] not in known:
        return BadCommand("unknown_type", f"The type must be one of {', '.join(known)}.", ref)
    return BadCommand("invalid_command", f"{error}.", ref)


class Message(msgspec.Struct, tag_field="type", rename="camel"):
    """What the server sends."""


class Welcome(Message, tag="welcome"):
    """Once, when the connection is authenticated by whatever way."""

    connection_id: str
    ping_interval_ms: int
    expires_at: str


class Authenticated(Message, tag="authenticated"):
    """The answer to `auth`."""

    expires_at: str


class Subscribed(Message, tag="subscribed"):
    """The answer to `subscribe`: the requests as they are, and the ids that are not the user's to see."""

    ref: Ref
    requests: list[msgspec.Raw]
    missing: list[str]


class Unsubscribed(Message, tag="unsubscribed"):
    """The answer to `unsubscribe`."""

    ref: Ref


class Pong(Message, tag="pong"):
    """The answer to `ping`."""

    ref: Ref


class Expiring(Message, tag="expiring"):
    """The token ends soon: send a fresh one."""

    expires_at: str


class Drain(Message, tag="drain"):
    """This process is about to stop: connect again after that many milliseconds."""

    reconnect_in_ms: int


class Error(Message, tag="error"):
    """A refused command; the connection stays."""

    ref: Ref
    code: str
    error: str


def encode_message(message: Message) -> bytes:
    """A message of the server as a text frame."""
    return text_frame(_encoder.encode(message))


def update_frame(update: Update) -> bytes:
    """The message that carries an update, as a text frame."""
    return text_frame(b"".join((b'{"type":"update","request":', update.body, b"}")))
