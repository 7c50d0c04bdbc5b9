"""The messages of `/ws`, both ways."""

from typing import Annotated, Literal

import msgspec

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
    """Watch requests by id, or a scope."""

    ref: Ref = None
    request_ids: RequestIds | msgspec.UnsetType = msgspec.UNSET
    scope: Literal["mine", "all"] | msgspec.UnsetType = msgspec.UNSET


class Unsubscribe(Command, tag="unsubscribe"):
    """Watch them no longer."""

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


def encode_message(type: str, **fields: object) -> str:  # noqa: A002 - the protocol's own word
    """A message of the server as text."""
    return _encoder.encode({"type": type, **fields}).decode()


def error_message(ref: Ref, code: str, error: str) -> str:
    """The refusal of one command; the connection stays."""
    return encode_message("error", ref=ref, code=code, error=error)


def subscribed_message(ref: Ref, bodies: list[msgspec.Raw], missing: list[str]) -> str:
    """The answer to `subscribe`: the snapshot and the ids that are not the user's to see."""
    return encode_message("subscribed", ref=ref, requests=bodies, missing=missing)
