"""What is said over a channel: the payloads, and the reasons why a join is refused."""

from typing import Any, Literal

import msgspec


class Presence(msgspec.Struct):
    """Whether the channel also tracks who is there. Older clients do not say."""

    enabled: bool = False


class JoinConfig(msgspec.Struct):
    """What a channel is to be told of. What else it holds concerns broadcasts, which are not offered."""

    postgres_changes: list[dict[str, Any]] = []
    presence: Presence | None = None


class Join(msgspec.Struct):
    """The payload of `phx_join`."""

    config: JoinConfig = msgspec.field(default_factory=JoinConfig)
    access_token: str | None = None


class AccessToken(msgspec.Struct):
    """The payload of `access_token`: a fresh token; or, at a sign-out, the API key."""

    access_token: str | None = None


class Response(msgspec.Struct):
    """What a reply says: nothing more than its status, or one of these.

    Attributes:
        postgres_changes: to a join: the bindings as the client sent them, each with the id that its events carry.
        reason: to what is refused.
    """

    postgres_changes: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET


class Empty(msgspec.Struct):
    """Nothing to say."""


class Reply(msgspec.Struct):
    """The payload of `phx_reply`."""

    status: Literal["ok", "error"]
    response: Response


class System(msgspec.Struct):
    """The payload of `system`: how the channel's subscription is."""

    message: str
    status: Literal["ok", "error"]
    extension: Literal["postgres_changes", "system"]
    channel: str


OK = Reply("ok", Response())


def refusal(reason: str) -> Reply:
    """The reply to what is refused."""
    return Reply("error", Response(reason=reason))


TOPIC_PREFIX = "realtime:"


def subscribed(topic: str) -> System:
    """The notice that the feed is live: nothing is missed from here on."""
    return System("Subscribed to PostgreSQL", "ok", "postgres_changes", topic.removeprefix(TOPIC_PREFIX))


def ended(topic: str, reason: str) -> System:
    """The notice that the feed has ended."""
    return System(reason, "error", "system", topic.removeprefix(TOPIC_PREFIX))


class JoinRefused(Exception):
    """A join that cannot be granted.

    Args:
        reason: for the client's developer, led by Realtime's word for the case.
        for_ever: whether asking again cannot help: then the channel is closed, which keeps clients from coming back.
    """

    def __init__(self, reason: str, *, for_ever: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.for_ever = for_ever


NOT_SIGNED_IN = "Unauthorized: No access token came with the join: sign in first"
SESSION_ENDED = "InvalidJWTToken: The access token is not valid or has expired"
OTHER_USER = "Unauthorized: The access token is another user's now"
TOO_MANY_CHANNELS = "ChannelRateLimitReached: Too many channels or bindings on this connection"
TOO_MANY_CONNECTIONS = "ConnectionRateLimitReached: Too many connections of this user"
UNAVAILABLE = "RealtimeRestarting: The service is briefly unavailable"
NOT_A_JOIN = "InvalidJoinPayload: The join's payload is not as it should be"
NOTHING_OFFERED = (
    "UnprocessableEntity: Only postgres_changes of public.ai_image_requests are offered here, "
    "neither broadcasts nor presence"
)
UNMATCHED_TOPIC = "unmatched topic"


def decode_join(payload: msgspec.Raw) -> Join:
    """The payload of `phx_join`.

    Raises:
        JoinRefused: it is none.
    """
    try:
        return _decode_join(payload)
    except (msgspec.DecodeError, RecursionError):
        raise JoinRefused(NOT_A_JOIN, for_ever=True) from None


def decode_access_token(payload: msgspec.Raw) -> str | None:
    """The token in the payload of `access_token`; None when there is none."""
    try:
        return _decode_access_token(payload).access_token
    except (msgspec.DecodeError, RecursionError):
        return None


_decode_join = msgspec.json.Decoder(Join).decode
_decode_access_token = msgspec.json.Decoder(AccessToken).decode
