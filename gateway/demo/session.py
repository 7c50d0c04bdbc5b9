"""A signed-in demo user: a member of one organization, known to the browser by the cookie that Supabase would set."""

import asyncio
import time

import msgspec
from jwt.utils import base64url_encode
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api import pages
from gateway.api.responses import json_response
from gateway.auth.tokens import issue_token
from gateway.settings import Settings
from storage.database.base import Transaction
from storage.database.open import open_database
from storage.database.sqlite import is_sqlite

USER = "00000000-0000-4000-8000-00000000d0e0"
ORGANIZATION = "00000000-0000-4000-8000-0000000000f0"
EMAIL = "demo@example.com"
LIFETIME = 7 * 24 * 3600
"""Seconds for which a demo token is good."""


def seed(settings: Settings) -> None:
    """Create the demo user and their organization, unless they exist."""

    url = settings.database_url.get_secret_value()
    users = "auth_users" if is_sqlite(url) else "auth.users"

    async def work(tx: Transaction) -> None:
        await tx.all(
            f"INSERT INTO {users} (id, email) VALUES (:id, :email) ON CONFLICT DO NOTHING", id=USER, email=EMAIL
        )
        await tx.all(
            "INSERT INTO organizations (id, name) VALUES (:id, 'Demo') ON CONFLICT DO NOTHING", id=ORGANIZATION
        )
        await tx.all(
            "INSERT INTO organization_members (organization_id, user_id, role) VALUES (:organization, :user, 'owner') "
            "ON CONFLICT DO NOTHING",
            organization=ORGANIZATION,
            user=USER,
        )

    async def run() -> None:
        async with open_database(url) as database:
            await database.transaction(work)

    asyncio.run(run())


class DemoSession:
    """Signs everyone in who can reach the loopback address."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.supabase_jwt_secret.get_secret_value()
        self.routes = [
            Route("/", self._index, methods=["GET"]),
            Route("/admin", self._admin, methods=["GET"]),
            Route("/demo/session", self._session, methods=["GET"]),
        ]

    def _content(self) -> dict[str, object]:
        token = issue_token(self._secret, USER, admin=True, lifetime=LIFETIME)
        return {"access_token": token, "expires_at": int(time.time()) + LIFETIME, "user": {"id": USER, "email": EMAIL}}

    async def _index(self, request: Request) -> Response:
        return self._signed_in(await pages.index(request))

    async def _admin(self, request: Request) -> Response:
        return self._signed_in(await pages.admin(request))

    def _signed_in(self, response: Response) -> Response:
        cookie = base64url_encode(msgspec.json.encode(self._content())).decode()
        response.set_cookie("sb-demo-auth-token", f"base64-{cookie}", max_age=LIFETIME, samesite="lax")
        response.set_cookie("gateway-demo", "1", max_age=LIFETIME, samesite="lax")  # the page offers examples
        return response

    async def _session(self, request: Request) -> Response:
        """The same token, for `gateway generate`."""
        return json_response(self._content())
