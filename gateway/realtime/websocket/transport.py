"""The WebSocket transport: `/ws`.

A connection has two tasks. The **reader** only parses and puts commands in a short line, because uvicorn stops reading
a socket (pongs too) while the application is busy. The **writer** does everything else: it answers the commands, one
after another, and sends updates between them. So a snapshot always comes before the updates that follow it.
"""

import asyncio
import contextlib
import time
import uuid
from collections import deque
from datetime import UTC, datetime

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.auth.signing_keys import KeysUnavailable
from gateway.auth.tokens import Authenticator, ForeignOrigin, InvalidToken, User
from gateway.ids import parse_id
from gateway.realtime.close_codes import CloseCode
from gateway.realtime.connection_limits import ConnectionLimits, TooManyConnections
from gateway.realtime.hub import Hub
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
)
from gateway.server import protocols
from gateway.settings import Settings
from gateway.tasks import stop_all
from storage import reads
from storage.database.base import Database
from storage.errors import DatabaseUnavailable
from storage.public_urls import PublicUrls
from storage.request import Request
from storage.times import rfc3339

log = structlog.get_logger(__name__)

SNAPSHOT = 100
"""Most requests in a scope's snapshot."""

MAX_COMMANDS = 64
"""Most commands that wait for an answer; a client that sends more without reading is closed."""

DRAIN_PATIENCE_SECONDS = 0.5
"""How long after its moment a client that was asked to leave may take."""

STALE_COOKIE_SECONDS = 2.0
"""How long a page whose cookie is no good any more has to bring a token."""

EXPIRING_SECONDS = 60
"""How long before the token's end the client is told."""


class WebSocketTransport:
    """Accepts upgrades and serves each to its end."""

    def __init__(
        self,
        settings: Settings,
        authenticator: Authenticator,
        hub: Hub,
        admission: ConnectionLimits,
        database: Database,
        urls: PublicUrls,
    ) -> None:
        self.settings = settings
        self.authenticator = authenticator
        self.hub = hub
        self.admission = admission
        self.database = database
        self.urls = urls

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one connection to its end."""
        # Accept first: a browser shows the code of a close, but of a refused upgrade only 1006.
        await websocket.accept()
        connection = _Connection(websocket, self)
        host = websocket.client.host if websocket.client else ""
        with contextlib.suppress(WebSocketDisconnect, _Closed):
            try:
                with self.admission.address(host):
                    if (user := await connection.authenticate()) is not None:
                        with self.admission.user(user.id):
                            await connection.serve(user)
            except TooManyConnections as error:
                log.warning("ws_refused", reason=str(error))
                await connection.close(CloseCode.OVERLOADED if error.kind == "process" else CloseCode.TOO_MANY)


class _Closed(Exception):
    """The connection has been closed from this side."""


class _Connection:
    def __init__(self, websocket: WebSocket, transport: WebSocketTransport) -> None:
        self.id = str(uuid.uuid4())
        self._websocket = websocket
        self._transport = transport
        self._commands: deque[AnyCommand | BadCommand] = deque()
        self._subscriber = Subscriber("")
        self._user = User("", is_admin=False, expires_at=0)
        self._allowance = float(transport.settings.ws_frames_per_second)
        self._counted_at = time.monotonic()
        self._closing: CloseCode | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._expiring = False
        self._drain_told = False

    # -- before anyone is known ---------------------------------------------------------------------------------------

    async def authenticate(self) -> User | None:
        """The connection's user; None when it was closed instead."""
        authenticator, headers = self._transport.authenticator, self._websocket.headers
        patience, too_late = self._transport.settings.ws_auth_seconds, CloseCode.AUTH_TIMEOUT
        try:
            try:
                user = await authenticator.user_of_upgrade(headers)
            except InvalidToken:
                if "authorization" in headers:
                    raise
                # Browsers send cookies whether the page wants it or not; it may have a good token for the first frame.
                user, patience, too_late = None, min(patience, STALE_COOKIE_SECONDS), CloseCode.UNAUTHORIZED
            if user is not None:
                return user
            async with asyncio.timeout(patience):
                command = decode_command(await self._receive_text())
            if not isinstance(command, Auth):
                raise InvalidToken("the first frame was no auth")
            user = await authenticator.user_of_token(command.token)
            await self._send(encode_message(Authenticated(_expires_at(user))))
            return user
        except ForeignOrigin:
            await self.close(CloseCode.FOREIGN_ORIGIN)
        except InvalidToken as error:
            log.info("ws_unauthorized", reason=str(error))
            await self.close(CloseCode.UNAUTHORIZED)
        except KeysUnavailable:
            await self.close(CloseCode.OVERLOADED)
        except TimeoutError:
            await self.close(too_late)
        except (BadFrame, BadCommand):
            await self.close(CloseCode.BAD_FRAME)
        return None

    async def _receive_text(self) -> str:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if not isinstance(text, str):
            raise BadFrame("a binary frame")
        return text

    # -- serving ------------------------------------------------------------------------------------------------------

    async def serve(self, user: User) -> None:
        """Welcome the user and go on until either side closes."""
        self._subscriber = Subscriber(user.id)
        self._adopt(user)
        try:
            await self._converse(user)
        finally:
            if self._expiry is not None:
                self._expiry.cancel()
        if self._closing is not None:
            await self.close(self._closing)

    async def _converse(self, user: User) -> None:
        settings = self._transport.settings
        async with self._transport.hub.registered(self._subscriber):
            await self._send(encode_message(Welcome(self.id, int(settings.ws_ping_seconds * 1000), _expires_at(user))))
            writer = asyncio.create_task(self._write(), name=f"ws-writer-{self.id}")
            try:
                await self._read()
            finally:
                await stop_all(writer)

    def _adopt(self, user: User) -> None:
        """Take `user`'s token as the current one: when to warn, and when to end. One that ends when the last one did
        is no reason to warn again."""
        known, self._user = self._user, user
        if user.expires_at == known.expires_at:
            return
        self._expiring = False
        if self._expiry is not None:
            self._expiry.cancel()
        warn_in = max(0.0, user.expires_at - EXPIRING_SECONDS - time.time())
        self._expiry = asyncio.get_running_loop().call_later(warn_in, self._expire)

    def _expire(self) -> None:
        left = self._user.expires_at - time.time()
        if left <= 0:
            self._end(CloseCode.UNAUTHORIZED)
            return
        self._expiring = True
        self._subscriber.wake()
        self._expiry = asyncio.get_running_loop().call_later(left, self._expire)

    def _end(self, code: CloseCode) -> None:
        """Let the writer close the connection with `code`."""
        if self._closing is None:
            self._closing = code
        self._subscriber.wake()

    async def _read(self) -> None:
        while self._closing is None:
            try:
                text = await self._receive_text()
            except BadFrame:
                self._closing = CloseCode.BAD_FRAME
                return
            except WebSocketDisconnect:
                return
            if not self._within_rate() or len(self._commands) >= MAX_COMMANDS:
                self._closing = CloseCode.TOO_MANY
                return
            try:
                self._commands.append(decode_command(text))
            except BadCommand as error:
                self._commands.append(error)
            except BadFrame:
                self._closing = CloseCode.BAD_FRAME
                return
            self._subscriber.wake()

    def _within_rate(self) -> bool:
        """A token bucket: a second's worth of frames may come at once."""
        rate = self._transport.settings.ws_frames_per_second
        now = time.monotonic()
        self._allowance = min(float(rate), self._allowance + (now - self._counted_at) * rate)
        self._counted_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    async def _write(self) -> None:
        try:
            await self._keep_writing()
        except (_Closed, WebSocketDisconnect):
            raise
        except Exception:
            log.exception("ws_writer_failed", connection_id=self.id)
            await self._websocket.close(1011)  # the peer's answer to it ends the reader

    async def _keep_writing(self) -> None:
        while True:
            await self._subscriber.ready()
            if self._closing is not None:
                await self.close(self._closing)
            if self._expiring:
                self._expiring = False
                await self._send(encode_message(Expiring(_expires_at(self._user))))
            if self._subscriber.drain_in is not None and not self._drain_told:
                await self._tell_drain(self._subscriber.drain_in)
            while self._commands:
                await self._answer(self._commands.popleft())
            # A token that has ended ends the updates too, however many still come.
            while self._closing is None and (update := self._subscriber.take()) is not None:
                await self._send(update.frame)
                self._transport.hub.record_delivery(self._subscriber, update, "websocket")
                if self._commands:
                    self._subscriber.wake()
                    break

    async def _tell_drain(self, seconds: float) -> None:
        """Ask the client to come back elsewhere at its own moment; who stays on is closed a little later."""
        self._drain_told = True
        await self._send(encode_message(Drain(int(seconds * 1000))))
        asyncio.get_running_loop().call_later(seconds + DRAIN_PATIENCE_SECONDS, self._end, CloseCode.RESTART)

    async def _answer(self, command: AnyCommand | BadCommand) -> None:
        try:
            match command:
                case BadCommand():
                    await self._send(encode_message(Error(command.ref, command.code, str(command))))
                case Ping():
                    await self._send(encode_message(Pong(command.ref)))
                case Auth():
                    await self._refresh(command)
                case Subscribe():
                    await self._subscribe(command)
                case Unsubscribe():
                    await self._unsubscribe(command)
        except DatabaseUnavailable:
            ref = getattr(command, "ref", None)
            await self._send(
                encode_message(Error(ref, "unavailable", "The service is briefly unavailable. Please try again."))
            )

    async def _refresh(self, command: Auth) -> None:
        try:
            user = await self._transport.authenticator.user_of_token(command.token)
        except InvalidToken:
            await self.close(CloseCode.UNAUTHORIZED)
            return
        except KeysUnavailable:
            # The old token is good until it ends; the client is told that this one could not be looked at.
            await self._refuse(command.ref, "unavailable", "The token cannot be verified right now. Please try again.")
            return
        if user.id != self._user.id:
            await self.close(CloseCode.UNAUTHORIZED)
            return
        self._adopt(user)
        if self._subscriber.all and not user.is_admin:
            await self._transport.hub.unwatch_all(self._subscriber)
        await self._send(encode_message(Authenticated(_expires_at(user))))

    # -- subscriptions ------------------------------------------------------------------------------------------------

    async def _subscribe(self, command: Subscribe) -> None:
        ids, scope = command.request_ids, command.scope
        if isinstance(scope, str) == isinstance(ids, list):
            await self._refuse(command.ref, "invalid_command", "Name either requestIds or a scope.")
        elif isinstance(ids, list):
            await self._subscribe_ids(command.ref, ids)
        elif scope == "all" and not self._user.is_admin:
            await self._refuse(command.ref, "forbidden", "Only administrators may watch everything.")
        else:
            await self._subscribe_scope(command.ref, everyone=scope == "all")

    async def _subscribe_ids(self, ref: Ref, asked: list[str]) -> None:
        known = {text: parsed for text in asked if (parsed := parse_id(text)) is not None}
        wanted = list(dict.fromkeys(known.values()))
        if len(self._subscriber.ids.union(wanted)) > self._transport.settings.ws_subscriptions:
            await self.close(CloseCode.TOO_MANY)
            return
        new = set(wanted) - self._subscriber.ids
        self._subscriber.ids |= new  # registered first, read next
        try:
            found = await reads.read_many(self._transport.database, wanted, self._user.id)
        except BaseException:
            self._subscriber.ids -= new
            raise
        readable = {request.id for request in found}
        self._subscriber.ids -= set(wanted) - readable
        missing = [text for text in dict.fromkeys(asked) if known.get(text) not in readable]
        await self._send_snapshot(ref, found, missing)

    async def _subscribe_scope(self, ref: Ref, *, everyone: bool) -> None:
        before = self._subscriber.all if everyone else self._subscriber.mine
        if everyone:
            await self._transport.hub.watch_all(self._subscriber)
        else:
            self._subscriber.mine = True
        owner = None if everyone else self._user.id
        try:
            found = await reads.recent(self._transport.database, owner, SNAPSHOT)
        except BaseException:
            if not before:
                await self._unsubscribe_scope(everyone=everyone)
            raise
        await self._send_snapshot(ref, found, [])

    async def _send_snapshot(self, ref: Ref, found: list[Request], missing: list[str]) -> None:
        updates = [Update.of(request, self._transport.urls) for request in found]
        for update in updates:
            self._subscriber.seen(update.request_id, update.version)
        await self._send(encode_message(Subscribed(ref, [update.body for update in updates], missing)))
        for update in updates:
            self._transport.hub.record_delivery(self._subscriber, update, "websocket")

    async def _unsubscribe(self, command: Unsubscribe) -> None:
        ids, scope = command.request_ids, command.scope
        if isinstance(scope, str) == isinstance(ids, list):
            await self._refuse(command.ref, "invalid_command", "Name either requestIds or a scope.")
            return
        if isinstance(ids, list):
            self._subscriber.ids -= {parsed for text in ids if (parsed := parse_id(text)) is not None}
        else:
            await self._unsubscribe_scope(everyone=scope == "all")
        await self._send(encode_message(Unsubscribed(command.ref)))

    async def _unsubscribe_scope(self, *, everyone: bool) -> None:
        if everyone:
            await self._transport.hub.unwatch_all(self._subscriber)
        else:
            self._subscriber.mine = False

    async def _refuse(self, ref: Ref, code: str, error: str) -> None:
        await self._send(encode_message(Error(ref, code, error)))

    # -- the seam: where bytes meet the connection --------------------------------------------------------------------

    async def _send(self, text: str) -> None:
        try:
            async with asyncio.timeout(self._transport.settings.ws_stall_seconds):
                await self._websocket.send({"type": "websocket.send", "text": text})
        except TimeoutError as error:
            # A peer that does not read would not read a close frame either: only dropping it frees its memory.
            log.warning("ws_stalled", connection_id=self.id)
            protocols.abort(self._websocket.scope)
            raise _Closed from error
        except RuntimeError as error:  # sent after a close
            raise _Closed from error

    async def close(self, code: CloseCode) -> None:
        """Close with the code and its reason. Always raises `_Closed`."""
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            try:
                async with asyncio.timeout(protocols.CLOSE_SECONDS):
                    await self._websocket.close(code, code.reason)
            except TimeoutError:
                protocols.abort(self._websocket.scope)
        raise _Closed


def _expires_at(user: User) -> str:
    return rfc3339(datetime.fromtimestamp(user.expires_at, UTC))
