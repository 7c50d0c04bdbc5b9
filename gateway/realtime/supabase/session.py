"""One client of Supabase Realtime: a connection, and the channels that it carries.

Like `/ws`'s, a session is a state machine without I/O, and has no task: only a channel that waits for its token to be
verified, or for its rows to be read, has one for that long.
"""

import asyncio
import itertools
from collections import Counter, deque

from gateway.auth.tokens import Credential, InvalidToken
from gateway.realtime.close_codes import CloseCode
from gateway.realtime.connection import Carrier, SessionParts
from gateway.realtime.supabase import messages
from gateway.realtime.supabase.bindings import Bindings, parse_binding
from gateway.realtime.supabase.channel import Channel
from gateway.realtime.supabase.messages import Join, JoinRefused
from gateway.realtime.supabase.serializers import BadFrame, Push, Ref, Serializer

MAX_CHANNELS = 100
"""Most channels of one connection, as on Supabase."""

MAX_TOPIC = 1024
"""Longest topic, in characters."""

BURST = 3 * MAX_CHANNELS
"""How many frames may come at once: clients join all their channels as soon as they are connected, and push a fresh
token to each of them, one right after the other."""

MAX_PUSHES = BURST
"""Most pushes that wait for a client which does not read; one that sends more is closed."""

MAX_PUSHED = 1024 * 1024
"""Most characters of them together."""

TOKENLESS_JOINS = 2
"""How often a join without a token is granted in the hope of one, for each topic of a connection."""

HEARTBEAT_TOPIC = "phoenix"


class SupabaseSession:
    """The state of one connection, which is counted among its address's until it is over.

    Args:
        credential: the token that the upgrade brought, by header or cookie: good for joins that bring none.
        api_key: the key that the upgrade's query names, which is no token.
    """

    __slots__ = (
        "_api_key",
        "_binding_ids",
        "_carrier",
        "_channels",
        "_closing",
        "_credential",
        "_host",
        "_leaving",
        "_pushed",
        "_pushes",
        "_tokenless",
        "_users",
        "parts",
        "serializer",
    )

    def __init__(
        self,
        parts: SessionParts,
        carrier: Carrier,
        serializer: Serializer,
        host: str,
        *,
        credential: Credential | None,
        api_key: str | None,
    ) -> None:
        self.parts = parts
        self.serializer = serializer
        self._carrier = carrier
        self._host = host
        self._credential = credential
        self._api_key = api_key
        self._channels: dict[str, Channel] = {}
        self._users: Counter[str] = Counter()
        self._tokenless: Counter[str] = Counter()
        self._binding_ids = itertools.count(1)
        self._pushes: deque[tuple[Push, int]] | None = None  # with their lengths; most clients never make one wait
        self._pushed = 0
        """How many characters wait."""
        self._leaving: asyncio.TimerHandle | None = None
        self._closing = False
        parts.limits.acquire_address(host)

    # -- in -----------------------------------------------------------------------------------------------------------

    def on_text(self, text: str) -> None:
        if self._closing:
            return
        try:
            push = self.serializer.decode(text)
        except BadFrame:
            self._close(CloseCode.BAD_FRAME)
            return
        if self._carrier.writable and not self._pushes:
            self._on_push(push)
            return
        if self._pushes is None:
            self._pushes = deque()
        self._pushed += len(text)
        if len(self._pushes) >= MAX_PUSHES or self._pushed > MAX_PUSHED:
            self._close(CloseCode.TOO_MANY)
            return
        self._pushes.append((push, len(text)))

    def on_binary(self) -> None:
        """Only broadcasts are binary."""
        self._close(CloseCode.BAD_FRAME)

    def on_paused(self) -> None:
        for channel in self._channels.values():
            channel.accepting = False

    def on_writable(self) -> None:
        while self._pushes and self._carrier.writable and not self._closing:
            push, length = self._pushes.popleft()
            self._pushed -= length
            self._on_push(push)
        for channel in list(self._channels.values()):
            channel.resume()

    def on_closed(self) -> None:
        self._end()
        self.parts.limits.release_address(self._host)

    def restart(self) -> None:
        self._close(CloseCode.RESTART)

    def _on_push(self, push: Push) -> None:
        channel = self._channels.get(push.topic)
        if channel is not None and push.join_ref not in (None, channel.join_ref):
            channel = None  # it speaks of an earlier join
        match push.event:
            case "heartbeat" if push.topic == HEARTBEAT_TOPIC:
                self._reply(push, messages.OK)
            case "phx_join":
                self._join(push)
            case "phx_leave":
                self._leave(push, channel)
            case "access_token":
                if channel is not None:
                    channel.on_token(messages.decode_access_token(push.payload))
            case _ if channel is None:
                self._refuse(push, messages.UNMATCHED_TOPIC)
            case _:
                self._refuse(push, messages.NOTHING_OFFERED)

    # -- channels -----------------------------------------------------------------------------------------------------

    def _join(self, push: Push) -> None:
        if (earlier := self._channels.get(push.topic)) is not None:
            earlier.end()
        try:
            join = messages.decode_join(push.payload)
            channel = self._channel(push, join)
        except JoinRefused as refused:
            self.refuse_join(push.topic, push.join_ref, push.ref, refused)
            return
        self._channels[push.topic] = channel
        channel.begin(self._token_of(join))

    def _channel(self, push: Push, join: Join) -> Channel:
        asked = join.config.postgres_changes
        if not push.topic.startswith(messages.TOPIC_PREFIX) or len(push.topic) > MAX_TOPIC:
            raise JoinRefused(messages.UNMATCHED_TOPIC, for_ever=True)
        if not asked or (join.config.presence is not None and join.config.presence.enabled):
            raise JoinRefused(messages.NOTHING_OFFERED, for_ever=True)
        bindings = Bindings([parse_binding(binding, next(self._binding_ids)) for binding in asked])
        bound = sum(len(channel.bindings) for channel in self._channels.values())
        if len(self._channels) >= MAX_CHANNELS or bound + len(bindings) > self.parts.settings.ws_subscriptions:
            raise JoinRefused(messages.TOO_MANY_CHANNELS, for_ever=False)
        return Channel(self, push.topic, push.join_ref, push.ref, bindings, asked)

    def _token_of(self, join: Join) -> str | Credential | None:
        """The token to join with. The upgrade's stands in for one that is not sent, and not for one that is bad."""
        if join.access_token is not None:
            return join.access_token if self.is_token(join.access_token) else None
        if self._credential is not None:
            try:
                self.parts.authenticator.user_of_credential_now(self._credential)
            except InvalidToken:
                self._credential = None  # it has ended since
        return self._credential

    def _leave(self, push: Push, channel: Channel | None) -> None:
        if channel is not None:
            channel.end()
        self._reply(push, messages.OK)
        self._push(push, "phx_close", messages.Empty(), push.join_ref)

    # -- what channels need -------------------------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        return self._carrier.writable

    def send(self, frame: bytes) -> None:
        if not self._closing:
            self._carrier.write(frame)

    def refuse_join(self, topic: str, join_ref: Ref, ref: Ref, refused: JoinRefused) -> None:
        encode = self.serializer.encode
        self.send(encode(topic, "phx_reply", messages.refusal(refused.reason), join_ref=join_ref, ref=ref))
        if refused.for_ever:
            self.send(encode(topic, "phx_close", messages.Empty(), join_ref=join_ref, ref=join_ref))
        elif not self.serializer.retries_refused_joins:
            self.send(encode(topic, "phx_error", messages.Empty(), join_ref=join_ref, ref=join_ref))

    def is_token(self, text: str) -> bool:
        return bool(text) and text != self._api_key and not self.parts.authenticator.is_api_key(text)

    def may_wait_for_token(self, topic: str) -> bool:
        if self._tokenless[topic] >= TOKENLESS_JOINS or self._tokenless.total() >= TOKENLESS_JOINS * MAX_CHANNELS:
            return False
        self._tokenless[topic] += 1
        return True

    def acquire_user(self, user_id: str) -> None:
        if not self._users[user_id]:
            self.parts.limits.acquire_user(user_id)
        self._users[user_id] += 1

    def release_user(self, user_id: str) -> None:
        self._users[user_id] -= 1
        if not self._users[user_id]:
            del self._users[user_id]
            self.parts.limits.release_user(user_id)

    def signed_out(self) -> None:
        self._credential = None

    def drop(self, channel: Channel) -> None:
        if self._channels.get(channel.topic) is channel:
            del self._channels[channel.topic]

    def leave_within(self, seconds: float) -> None:
        """Clients come back one to three seconds after a close, all alike: so each is closed at its own moment."""
        if self._leaving is None and not self._closing:
            self._leaving = asyncio.get_running_loop().call_later(seconds, self.restart)

    # -- out ----------------------------------------------------------------------------------------------------------

    def _reply(self, push: Push, reply: messages.Reply) -> None:
        self._push(push, "phx_reply", reply, push.ref)

    def _refuse(self, push: Push, reason: str) -> None:
        self._reply(push, messages.refusal(reason))

    def _push(self, push: Push, event: str, payload: object, ref: Ref) -> None:
        self.send(self.serializer.encode(push.topic, event, payload, join_ref=push.join_ref, ref=ref))

    def _close(self, code: CloseCode) -> None:
        if not self._closing:
            self._end()
            self._carrier.close(code, code.reason)

    def _end(self) -> None:
        """Nothing is read, answered or delivered any more."""
        self._closing = True
        self._pushes = None
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        for channel in list(self._channels.values()):
            channel.end()
