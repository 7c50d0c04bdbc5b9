"""The ASGI application: finds the endpoint, answers its errors, and adds what every answer carries.

Starlette brings the parts (router, CORS, requests, responses). Its own stack wraps every request in six layers, each
with a coroutine, a closure and most with a copy of the headers: twice what the server itself costs. Here is one layer:

* a path without parameters, or with one as its last segment, is found in a dictionary; the rest, and every refusal of
  a path or a method, is the router's;
* what an endpoint raises is answered here, inside of CORS, so that a page of another origin can read the refusal;
* the CORS layer sees requests that carry an Origin, and no others.
"""

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from gateway.api.errors import answer_to
from gateway.api.pages import missing_page
from gateway.api.security_headers import SecurityHeaders

Endpoint = Callable[[Request], Awaitable[Response]]


class Application:
    """An ASGI application of `routes`.

    Args:
        routes: what is served; the first that matches wins.
        lifespan: runs while the application does; what it yields is in every connection's state.
        security_headers: what is added to every HTTP answer.
        cors: makes the layer for requests with an Origin; None where no browser comes.
    """

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        *,
        lifespan: Lifespan[Any],
        security_headers: SecurityHeaders,
        cors: Callable[[ASGIApp], CORSMiddleware] | None = None,
    ) -> None:
        self._router = Router(routes, redirect_slashes=False, lifespan=lifespan)
        self._direct = _direct(routes)
        self._security_headers = security_headers
        self._cors: ASGIApp = self._answer if cors is None else cors(self._answer)

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes, in order."""
        return self._router.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        if scope["type"] != "http":
            await self._router(scope, receive, _without_cancellation(send))
            return
        for name, _ in scope["headers"]:
            if name == b"origin":
                await self._cors(scope, receive, send)
                return
        await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        add_headers = self._security_headers.add

        async def complete(message: Message) -> None:
            nonlocal started
            if not started:
                started = True
                add_headers(message)
            await send(message)

        request = Request(scope, receive, complete)
        try:
            endpoint = self._endpoint(scope)
            if endpoint is None:
                await self._router(scope, receive, complete)
            else:
                response = await endpoint(request)
                await response(scope, receive, complete)
        except Exception as error:
            if started:
                raise  # the server cuts the connection: nothing else says that the answer is not whole
            response = missing_page(request, error) or answer_to(request, error)
            await response(scope, receive, complete)
            error.__traceback__ = None  # it holds this frame, which holds the error

    def _endpoint(self, scope: Scope) -> Endpoint | None:
        """The endpoint, if it can be named without a search; the path's parameters are then in `scope`."""
        path, method = scope["path"], scope["method"]
        found = self._direct.get((method, path))
        if found is not None:
            scope["path_params"] = {}
            return found[0]
        head, _, last = path.rpartition("/")
        if not last and head:
            # A slash too many: served as without it. A redirect would name the host that the client claims to ask.
            scope["path"] = head
            return self._endpoint(scope) if not head.endswith("/") else None
        found = self._direct.get((method, head + "/{}"))
        if found is None:
            return None
        scope["path_params"] = {found[1]: last}
        return found[0]


def _direct(routes: Sequence[BaseRoute]) -> dict[tuple[str, str], tuple[Endpoint, str]]:
    """The endpoints that are functions, by method and path; a parameter that is the whole last segment is ``{}``."""
    direct: dict[tuple[str, str], tuple[Endpoint, str]] = {}
    for route in routes:
        if not isinstance(route, Route) or not inspect.iscoroutinefunction(route.endpoint):
            continue
        head, _, last = route.path.rpartition("/")
        name = next(iter(route.param_convertors), "")
        if name and (last != f"{{{name}}}" or len(route.param_convertors) > 1):
            continue
        path = f"{head}/{{}}" if name else route.path
        for method in route.methods or ():
            direct.setdefault((method, path), (route.endpoint, name))
    return direct


def _without_cancellation(send: Send) -> Send:
    """`send` for a lifespan that ends quietly when it is cancelled: who stops a process that still starts knows why."""

    async def send_quietly(message: Message) -> None:
        if isinstance(sys.exception(), asyncio.CancelledError):
            message = {**message, "message": ""}
        await send(message)

    return send_quietly
