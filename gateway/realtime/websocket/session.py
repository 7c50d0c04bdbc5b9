"""One client of `/ws`: commands in, frames out.

A session is a state machine without I/O. It waits for a token, then serves commands one after another; while one of
them waits for the database, updates are held, so that a snapshot always comes before the updates that follow it.
Only such a command has a task, for as long as it waits.
"""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime

import structlog
from starlette.datastructures import Headers

from gateway.auth.signing_keys import KeysUnavailable
from gateway.auth.tokens import Credential, ForeignOrigin, InvalidToken
from gateway.auth.verified_tokens import User
from gateway.ids import parse_id
from gateway.realtime.close_codes import CloseCode
from gateway.realtime.connection import DRAIN_PATIENCE_SECONDS, Carrier, SessionParts
from gateway.realtime.connection_limits import TooManyConnections
from gateway.realtime.subscriber import Subscriber
from gateway.realtime.update import Update
from gateway.realtime.websocket.messages import (
    AnyCommand,
    Auth,
    Authenticated,
    BadCommand,
    BadFrame,
    Drain,
    Error,
    Expiring,
    Message,
    Ping,
    Pong,
    Ref,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
    decode_command,
    encode_message,
    update_frame,
)
from storage.errors import DatabaseUnavailable
from storage.times import rfc3339

log = structlog.get_logger(__name__)

MAX_COMMANDS = 64
"""Most commands that wait for an answer; a client that sends more without reading is closed."""

STALE_COOKIE_SECONDS = 2.0
"""How long a page whose cookie is no good any more has to bring a token."""

EXPIRING_SECONDS = 60
"""How long before the token's end the client is told."""

UNAVAILABLE = "The service is briefly unavailable. Please try again."


class WebSocketSession(Subscriber):
    """The state of one connection. It is `accepting` while it is welcomed, idle, and the client reads."""

    __slots__ = (
        "_carrier",
        "_closing",
        "_commands",
        "_host",
        "_leaves_at",
        "_parts",
        "_refused",
        "_task",
        "_timer",
        "_too_late",
        "_user",
        "id",
    )

    def __init__(self, parts: SessionParts, carrier: Carrier, host: str) -> None:
        super().__init__("", "websocket")
        self.id = str(uuid.uuid4())
        self._parts = parts
        self._carrier = carrier
        self._host: str | None = host
        self._user: User | None = None
        self._refused = False
        """Whether it counts as one that was refused."""
        self._closing = False
        self._commands: deque[AnyCommand | BadCommand] | None = None  # most clients never make one wait
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        """What happens next by itself: no token in time, a warning, the token's end, or the end of a drain."""
        self._too_late = CloseCode.AUTH_TIMEOUT
        self._leaves_at: float | None = None
        """The moment (`time.monotonic`) at which a client that was asked to leave is closed."""

    # -- who is it ----------------------------------------------------------------------------------------------------

    def begin(self, headers: Headers) -> None:
        """Count the connection, and find out whose it is."""
        try:
            self._parts.limits.acquire_address(str(self._host))
        except TooManyConnections as error:
            self._host = None
            self._refused = self._parts.limits.acquire_refused()
            self._refuse_connection(error)
            if not self._refused:
                self._carrier.abort()  # it would hold its place for as long as it does not answer
            return
        authenticator = self._parts.authenticator
        try:
            credential = authenticator.credential_of_upgrade(headers)
            if credential is None:
                self._await_token(self._parts.settings.ws_auth_seconds, CloseCode.AUTH_TIMEOUT)
            elif (user := authenticator.user_of_credential_now(credential)) is not None:
                self._welcome(user)
            else:
                self._start(self._welcome_later(credential, by_cookie="authorization" not in headers))
        except ForeignOrigin:
            self._close(CloseCode.FOREIGN_ORIGIN)
        except InvalidToken as error:
            self._unauthorized(error, by_cookie="authorization" not in headers)

    def _unauthorized(self, error: InvalidToken, *, by_cookie: bool) -> None:
        log.info("ws_unauthorized", reason=str(error))
        if by_cookie:
            # Browsers send cookies whether the page wants it or not; it may have a good token for the first frame.
            patience = min(self._parts.settings.ws_auth_seconds, STALE_COOKIE_SECONDS)
            self._await_token(patience, CloseCode.UNAUTHORIZED)
        else:
            self._close(CloseCode.UNAUTHORIZED)

    def _await_token(self, seconds: float, too_late: CloseCode) -> None:
        self._too_late = too_late
        self._set_timer(seconds, self._token_is_late)

    def _token_is_late(self) -> None:
        self._close(self._too_late)

    async def _welcome_later(self, credential: Credential, *, by_cookie: bool) -> None:
        try:
            user = await self._parts.authenticator.user_of_credential(credential)
        except InvalidToken as error:
            self._unauthorized(error, by_cookie=by_cookie)
        except KeysUnavailable:
            if by_cookie:  # it may be another project's; the page may have a good token for the first frame
                self._await_token(STALE_COOKIE_SECONDS, CloseCode.OVERLOADED)
            else:
                self._close(CloseCode.OVERLOADED)
        else:
            self._welcome(user)

    def _authenticate(self, command: Auth) -> None:
        """The first frame."""
        self._clear_timer()
        try:
            user = self._parts.authenticator.user_of_token_now(command.token)
        except InvalidToken as error:
            self._unauthorized(error, by_cookie=False)
            return
        if user is None:
            self._start(self._authenticate_later(command.token))
        else:
            self._greet(user)

    async def _authenticate_later(self, token: str) -> None:
        try:
            user = await self._parts.authenticator.user_of_token(token)
        except InvalidToken as error:
            self._unauthorized(error, by_cookie=False)
        except KeysUnavailable:
            self._close(CloseCode.OVERLOADED)
        else:
            self._greet(user)

    def _greet(self, user: User) -> None:
        self._send(Authenticated(_expires_at(user)))
        self._welcome(user)

    def _welcome(self, user: User) -> None:
        if self._closing:
            return
        try:
            self._parts.limits.acquire_user(user.id)
        except TooManyConnections as error:
            self._refuse_connection(error)
            return
        self.user_id = user.id
        self._adopt(user)
        ping_ms = int(self._parts.settings.ws_ping_seconds * 1000)
        self._send(Welcome(self.id, ping_ms, _expires_at(user)))
        self._parts.hub.join(self)
        self._resume()

    def _refuse_connection(self, error: TooManyConnections) -> None:
        log.warning("ws_refused", reason=str(error))
        self._close(CloseCode.OVERLOADED if error.kind == "process" else CloseCode.TOO_MANY)

    # -- the token's life ---------------------------------------------------------------------------------------------

    def _adopt(self, user: User) -> None:
        """Take `user`'s token as the current one: when to warn, and when to end. One that ends when the last one did
        is no reason to warn again."""
        known, self._user = self._user, user
        if known is None or user.expires_at != known.expires_at:
            self._set_timer(user.expires_at - EXPIRING_SECONDS - time.time(), self._expire)

    def _expire(self) -> None:
        assert self._user is not None, "only a welcomed session has a token"  # noqa: S101
        left = self._user.expires_at - time.time()
        if left <= 0:
            self._close(CloseCode.UNAUTHORIZED)
            return
        self._send(Expiring(_expires_at(self._user)))
        self._set_timer(left, self._expire)

    async def _refresh(self, command: Auth) -> None:
        user = self._user
        assert user is not None, "only a welcomed session refreshes"  # noqa: S101
        try:
            fresh = await self._parts.authenticator.user_of_token(command.token)
        except InvalidToken:
            self._close(CloseCode.UNAUTHORIZED)
            return
        except KeysUnavailable:
            # The old token is good until it ends; the client is told that this one could not be looked at.
            self._refuse(command.ref, "unavailable", "The token cannot be verified right now. Please try again.")
            return
        if fresh.id != user.id:
            self._close(CloseCode.UNAUTHORIZED)
            return
        self._adopt(fresh)
        if self.all and not fresh.is_admin:
            self._parts.subscriptions.remove_all(self)
        self._send(Authenticated(_expires_at(fresh)))

    # -- what comes from the server -----------------------------------------------------------------------------------

    def on_text(self, text: str) -> None:
        if self._closing:
            return
        command: AnyCommand | BadCommand
        try:
            command = decode_command(text)
        except BadCommand as error:
            command = error
        except BadFrame:
            self._close(CloseCode.BAD_FRAME)
            return
        if self._user is None and self._task is None:
            self._on_first(command)
            return
        if not self._commands and self._task is None and self._carrier.writable:
            self._answer(command)
            return
        if self._commands is None:
            self._commands = deque()
        if len(self._commands) >= MAX_COMMANDS:
            self._close(CloseCode.TOO_MANY)
            return
        self._commands.append(command)
        self._resume()

    def _on_first(self, command: AnyCommand | BadCommand) -> None:
        if isinstance(command, Auth):
            self._authenticate(command)
        elif isinstance(command, BadCommand):
            self._close(CloseCode.BAD_FRAME)
        else:
            self._unauthorized(InvalidToken("the first frame was no auth"), by_cookie=False)

    def on_binary(self) -> None:
        self._close(CloseCode.BAD_FRAME)

    def on_paused(self) -> None:
        self.accepting = False

    def on_writable(self) -> None:
        self._resume()

    def on_closed(self) -> None:
        self._end()
        if self._host is not None:
            self._parts.limits.release_address(self._host)
            self._host = None
        if self._refused:
            self._parts.limits.release_refused()
            self._refused = False
        if self._user is not None:
            self._parts.limits.release_user(self._user.id)
            self._parts.hub.leave(self)
            self._user = None

    def restart(self) -> None:
        self._close(CloseCode.RESTART)

    def leave_within(self, seconds: float) -> None:
        """Ask the client to come back elsewhere at its own moment; who stays on is closed a little later."""
        self._send(Drain(int(seconds * 1000)))
        self._leaves_at = time.monotonic() + seconds + DRAIN_PATIENCE_SECONDS
        if self._user is not None:
            left = self._user.expires_at - time.time()
            self._set_timer(left if left <= EXPIRING_SECONDS else left - EXPIRING_SECONDS, self._expire)

    # -- commands -----------------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Go on with what waits: commands first, then updates, as far as the client reads."""
        while self._commands and self._task is None and self._carrier.writable and not self._closing:
            command = self._commands.popleft()
            if self._user is None:  # it came while a credential was looked at, which was no good
                self._on_first(command)
            else:
                self._answer(command)
        self.accepting = self._task is None and self._user is not None and self._carrier.writable and not self._closing
        if self.accepting and self._pending:
            self._parts.hub.deliver_held(self, self._carrier)

    def deliver(self, update: Update) -> None:
        self._carrier.write(update.rendered("websocket", update_frame))

    def _answer(self, command: AnyCommand | BadCommand) -> None:
        match command:
            case BadCommand():
                self._refuse(command.ref, command.code, str(command))
            case Ping():
                self._send(Pong(command.ref))
            case Auth():
                self._start(self._refresh(command))
            case Subscribe():
                self._subscribe(command)
            case Unsubscribe():
                self._unsubscribe(command)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        """Do what has to wait. Updates are held and commands queue until it is done."""
        self.accepting = False
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("ws_command_failed", connection_id=self.id, exc_info=error)
            self._closing = True
            self._carrier.close(1011, "")
        self._resume()

    def _subscribe(self, command: Subscribe) -> None:
        ids, scope = command.request_ids, command.scope
        if isinstance(scope, str) == isinstance(ids, list):
            self._refuse(command.ref, "invalid_command", "Name either requestIds or a scope.")
        elif isinstance(ids, list):
            self._subscribe_to(command.ref, ids)
        elif scope == "all" and not (self._user is not None and self._user.is_admin):
            self._refuse(command.ref, "forbidden", "Only administrators may subscribe to everything.")
        else:
            subscriptions = self._parts.subscriptions
            add = subscriptions.add_all if scope == "all" else subscriptions.add_mine
            self._start(self._snapshot(command.ref, add(self)))

    def _subscribe_to(self, ref: Ref, asked: list[str]) -> None:
        known = {text: parsed for text in asked if (parsed := parse_id(text)) is not None}
        wanted = list(dict.fromkeys(known.values()))
        if len(self.ids.union(wanted)) > self._parts.settings.ws_subscriptions:
            self._close(CloseCode.TOO_MANY)
            return
        self._start(self._snapshot(ref, self._parts.subscriptions.add_ids(self, wanted), asked))

    async def _snapshot(
        self, ref: Ref, adding: Coroutine[None, None, list[Update]], asked: list[str] | None = None
    ) -> None:
        """Answer with what has been subscribed to, as it is."""
        try:
            updates = await adding
        except DatabaseUnavailable:
            self._refuse(ref, "unavailable", UNAVAILABLE)
            return
        found = {update.request_id for update in updates}
        missing = [text for text in dict.fromkeys(asked or ()) if parse_id(text) not in found]
        self._send(Subscribed(ref, [update.body for update in updates], missing))
        for update in updates:
            self._parts.hub.record_delivery(self, update)

    def _unsubscribe(self, command: Unsubscribe) -> None:
        ids, scope = command.request_ids, command.scope
        if isinstance(scope, str) == isinstance(ids, list):
            self._refuse(command.ref, "invalid_command", "Name either requestIds or a scope.")
            return
        subscriptions = self._parts.subscriptions
        if isinstance(ids, list):
            subscriptions.remove(self, {parsed for text in ids if (parsed := parse_id(text)) is not None})
        elif scope == "all":
            subscriptions.remove_all(self)
        else:
            subscriptions.remove_mine(self)
        self._send(Unsubscribed(command.ref))

    # -- out ----------------------------------------------------------------------------------------------------------

    def _refuse(self, ref: Ref, code: str, error: str) -> None:
        self._send(Error(ref, code, error))

    def _send(self, message: Message) -> None:
        if not self._closing:
            self._carrier.write(encode_message(message))

    def _close(self, code: CloseCode) -> None:
        if not self._closing:
            self._end()
            self._carrier.close(code, code.reason)

    def _end(self) -> None:
        """Nothing is read, answered or delivered any more."""
        self._closing = True
        self.accepting = False
        self._commands = None
        self._clear_timer()
        if self._task is not None:
            self._task.cancel()

    def _set_timer(self, seconds: float, then: Callable[[], None]) -> None:
        """Do `then` after `seconds`, unless the client was asked to leave before that: then it is closed."""
        self._clear_timer()
        if self._leaves_at is not None and (left := self._leaves_at - time.monotonic()) < seconds:
            seconds, then = left, self.restart
        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), then)

    def _clear_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _expires_at(user: User) -> str:
    return rfc3339(datetime.fromtimestamp(user.expires_at, UTC))
