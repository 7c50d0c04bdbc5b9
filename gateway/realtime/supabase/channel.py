"""One channel: a topic that a client has joined, its bindings, and whose it is.

A channel is the hub's subscriber; its socket carries any number of them. Its life:

* **joining**: the token is verified, the rows are registered for and read; nothing has been answered yet;
* **waiting for a token**: the join brought none. Clients join before they know their token and send it only to a
  channel that they believe joined, or never. So the join is granted, and if no token follows, `phx_error` lets the
  client join again, which by then it does with its token;
* **live**: joined and authorised, until the token ends, or the client signs out, or leaves;
* **signed out**: joined, and told of nothing until a token comes.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from gateway.auth.signing_keys import KeysUnavailable
from gateway.auth.tokens import Credential, InvalidToken
from gateway.auth.verified_tokens import User
from gateway.realtime.connection import SessionParts
from gateway.realtime.connection_limits import TooManyConnections
from gateway.realtime.subscriber import Subscriber
from gateway.realtime.supabase import messages
from gateway.realtime.supabase.bindings import Bindings
from gateway.realtime.supabase.messages import JoinRefused
from gateway.realtime.supabase.rows import Type, change_of
from gateway.realtime.supabase.serializers import Ref, Serializer
from gateway.realtime.update import Update
from storage.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)

TOKEN_WAIT_SECONDS = 0.5
"""How long after a join without a token one may follow by itself."""


class Socket(Protocol):
    """What a channel needs of the connection that carries it."""

    parts: SessionParts
    serializer: Serializer

    @property
    def writable(self) -> bool:
        """Whether the client reads what is sent."""

    def send(self, frame: bytes) -> None:
        """Send a frame, unless the connection closes."""

    def refuse_join(self, topic: str, join_ref: Ref, ref: Ref, refused: JoinRefused) -> None:
        """Answer a join that is not granted."""

    def is_token(self, text: str) -> bool:
        """Whether `text` may name a user: it is no API key."""

    def may_wait_for_token(self, topic: str) -> bool:
        """Whether a join of `topic` without a token may be granted once more."""

    def acquire_user(self, user_id: str) -> None:
        """Count the connection as the user's. Raises `TooManyConnections`."""

    def release_user(self, user_id: str) -> None:
        """Undo `acquire_user`."""

    def signed_out(self) -> None:
        """The client's session has ended: whatever the upgrade brought is good no more."""

    def drop(self, channel: "Channel") -> None:
        """Forget a channel that has ended."""

    def leave_within(self, seconds: float) -> None:
        """Close the connection in that time."""


class Channel(Subscriber):
    """The state of one channel. It is `accepting` while it is live, idle, and the client reads."""

    __slots__ = (
        "_asked",
        "_frame",
        "_next_token",
        "_over",
        "_ref",
        "_snapshot",
        "_socket",
        "_task",
        "_timer",
        "_user",
        "bindings",
        "join_ref",
        "topic",
    )

    def __init__(
        self, socket: Socket, topic: str, join_ref: Ref, ref: Ref, bindings: Bindings, asked: list[dict[str, Any]]
    ) -> None:
        super().__init__("", "supabase")
        self._socket = socket
        self.topic = topic
        self.join_ref = join_ref
        self._ref = ref
        self.bindings = bindings
        self._asked: list[dict[str, Any]] | None = asked
        """The bindings as the client sent them, until they have been returned."""
        self._frame = socket.serializer.change_frame(topic)
        self._user: User | None = None
        self._over = False
        self._snapshot: deque[Update] | None = None
        """The rows as they were read, not yet written."""
        self._next_token: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        """No token in time, or the token's end."""

    # -- what the client asks -----------------------------------------------------------------------------------------

    def begin(self, token: str | Credential | None) -> None:
        """Join, as whom the token names; with None, a token is waited for."""
        if token is not None:
            self._start(self._authorise(token))
        elif self._socket.may_wait_for_token(self.topic):
            self._grant()
            self._set_timer(TOKEN_WAIT_SECONDS, self._ask_to_rejoin)
        else:
            self._refuse(JoinRefused(messages.NOT_SIGNED_IN, for_ever=False))

    def on_token(self, token: str | None) -> None:
        """A fresh token; or none, when the client has signed out."""
        if self._task is not None:
            self._next_token = token or ""
        elif token is not None and self._socket.is_token(token):
            self._start(self._authorise(token))
        elif self._user is not None:
            self._socket.signed_out()
            self._sign_off()

    def end(self) -> None:
        """The client has left, or its connection is over. Nothing more is sent."""
        self._over = True
        if self._task is not None:
            self._task.cancel()
        self._sign_off()
        self._socket.drop(self)

    # -- who is it ----------------------------------------------------------------------------------------------------

    async def _authorise(self, token: str | Credential) -> None:
        credential = Credential.bearer(token) if isinstance(token, str) else token
        try:
            user = await self._socket.parts.authenticator.user_of_credential(credential)
            if self._user is None:
                await self._subscribe(user)
            elif user.id == self._user.id:
                self._adopt(user)
            else:
                raise JoinRefused(messages.OTHER_USER, for_ever=False)
        except InvalidToken as error:
            log.info("supabase_unauthorized", reason=str(error))
            self._refuse(JoinRefused(messages.SESSION_ENDED, for_ever=False))
        except KeysUnavailable:
            if self._user is None:
                self._refuse(JoinRefused(messages.UNAVAILABLE, for_ever=False))
            else:
                self._adopt(self._user)  # the old token is good until it ends
        except JoinRefused as refused:
            self._refuse(refused)

    def _adopt(self, user: User) -> None:
        self._user = user
        self._set_timer(max(0.0, user.expires_at - time.time()), self._expire)

    def _expire(self) -> None:
        self._refuse(JoinRefused(messages.SESSION_ENDED, for_ever=False))

    def _ask_to_rejoin(self) -> None:
        self._send("phx_error", messages.Empty(), ref=self.join_ref)
        self.end()

    def _sign_off(self) -> None:
        """Be nobody's any more."""
        self.accepting = False
        self._clear_timer()
        if self._user is not None:
            self._socket.parts.hub.leave(self)
            self._socket.release_user(self._user.id)
            self._user = None
        for update in self._snapshot or ():  # read, and never written
            self.forget(update.request_id)
        self.user_id = ""
        self.ids = frozenset()
        self.mine = False
        self._pending = self._snapshot = None

    # -- what it is told ----------------------------------------------------------------------------------------------

    async def _subscribe(self, user: User) -> None:
        """Register, read, and say that the feed is live.

        Raises:
            JoinRefused: nothing is subscribed to.
        """
        if not self.bindings.are_of(user.id):
            raise JoinRefused("Unauthorized: The filter names another user's rows", for_ever=True)
        try:
            self._socket.acquire_user(user.id)
        except TooManyConnections as error:
            log.warning("supabase_refused", reason=str(error))
            raise JoinRefused(messages.TOO_MANY_CONNECTIONS, for_ever=False) from None
        self.user_id, self._user = user.id, user
        self._socket.parts.hub.join(self)
        seen = dict(self._seen)  # of an earlier token of this channel
        joined_at = time.time()
        try:
            updates = await self._read()
        except DatabaseUnavailable:
            raise JoinRefused(messages.UNAVAILABLE, for_ever=False) from None
        self.bindings.begin(joined_at, updates)
        self._adopt(user)
        self._grant()
        self._send("system", messages.subscribed(self.topic))
        self._snapshot = deque(update for update in updates if update.version != seen.get(update.request_id, 0))

    async def _read(self) -> Sequence[Update]:
        """Everything that the bindings are about, as it is; what is under way, and then the newest, comes last."""
        subscriptions = self._socket.parts.subscriptions
        found: dict[str, Update] = {}
        if self.bindings.all_own:
            for update in reversed(await subscriptions.add_mine(self)):
                found[update.request_id] = update
        if self.bindings.request_ids:
            own = await subscriptions.add_ids(self, self.bindings.request_ids)
            if len(own) < len(self.bindings.request_ids):
                raise JoinRefused("Unauthorized: There is no such request of yours", for_ever=True)
            for update in own:
                found[update.request_id] = update
        return list(found.values())

    def wants(self, update: Update) -> bool:
        """Whether a binding is to be told of the update."""
        return update.user_id == self.user_id and any(self.bindings.events_of(update))

    def deliver(self, update: Update) -> None:
        """Tell the bindings of the change."""
        inserted, updated = self.bindings.events_of(update)
        if inserted:
            self.bindings.inserted(update.request_id)
            self._write(update, "INSERT", inserted)
        if updated:
            self._write(update, "UPDATE", updated)

    def resume(self) -> None:
        """Go on with what waits: the rows that were read first, then updates, as far as the client reads."""
        while self._snapshot and self._socket.writable:
            self._show(self._snapshot.popleft())
        self.accepting = self._user is not None and self._task is None and not self._snapshot and self._socket.writable
        if self.accepting and self._pending:
            self._socket.parts.hub.deliver_held(self, self._socket)

    def _show(self, update: Update) -> None:
        """The row as it is, as an UPDATE: what has changed between the submission, or the last connection, and now."""
        ids = self.bindings.shown(update)
        if ids:
            self._write(update, "UPDATE", ids)
            self._socket.parts.hub.record_delivery(self, update)

    def leave_within(self, seconds: float) -> None:
        self._socket.leave_within(seconds)

    # -- out ----------------------------------------------------------------------------------------------------------

    def _grant(self) -> None:
        """Answer the join, if it has not been answered."""
        if self._asked is None:
            return
        answer = messages.Response(self.bindings.answer_to(self._asked))
        try:
            self._send("phx_reply", messages.Reply("ok", answer), ref=self._ref)
        except RecursionError:  # bindings are echoed, and what can just be decoded may be too deep to be encoded
            self._refuse(JoinRefused(messages.NOT_A_JOIN, for_ever=True))
        else:
            self._asked = None

    def _refuse(self, refused: JoinRefused) -> None:
        """Answer that the join is refused, or that what was granted is over; and be gone."""
        if self._asked is not None:
            self._socket.refuse_join(self.topic, self.join_ref, self._ref, refused)
        else:
            self._send("system", messages.ended(self.topic, refused.reason))
            self._send("phx_close" if refused.for_ever else "phx_error", messages.Empty(), ref=self.join_ref)
        self._over = True
        self._sign_off()
        self._socket.drop(self)

    def _send(self, event: str, payload: object, ref: Ref = None) -> None:
        self._socket.send(self._socket.serializer.encode(self.topic, event, payload, join_ref=self.join_ref, ref=ref))

    def _write(self, update: Update, type_: Type, ids: list[bytes]) -> None:
        self._socket.send(self._frame.of(b",".join(ids), change_of(update, type_)))

    # -- waiting ------------------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[None, None, None]) -> None:
        """Do what has to wait. Updates are held until it is done."""
        self.accepting = False
        self._clear_timer()
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if self._over:
            return
        if (error := task.exception()) is not None:
            log.error("supabase_channel_failed", topic=self.topic, exc_info=error)
            self._refuse(JoinRefused(messages.UNAVAILABLE, for_ever=False))
            return
        token, self._next_token = self._next_token, None
        if token is not None:
            self.on_token(token)
        self.resume()

    def _set_timer(self, seconds: float, then: Callable[[], None]) -> None:
        self._clear_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _clear_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
