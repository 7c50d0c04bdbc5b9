"""The original design document's three routes, as they are written there, in Python: faults and all.

Supabase's client is a query under the role that the request's cookie gives it: `authenticated` for a signed-in user,
`anon` for n8n, which sends no cookie.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

log = logging.getLogger("document")

AI_CALLBACK_SECRET = "the-callback-secret-of-the-document-" + "x" * 16
JWT_SECRET = "the-jwt-secret-of-the-document-" + "x" * 16

COUNT = "SELECT count(*) FROM ai_image_requests WHERE user_id = $1 AND created_at >= now() - interval '1 hour'"
"""What the rate limit asks."""


class Document:
    """The document's app.

    Args:
        database_url: a project's database, as the role `authenticator`.
        n8n_webhook_url: where requests are sent.
        rate_limit: `AI_GENERATION_RATE_LIMIT_PER_HOUR`, as it stands in the environment.
        callback_role: `anon`, as the document has it, or `service_role`, as it was meant.
    """

    def __init__(self, database_url: str, n8n_webhook_url: str, rate_limit: str, callback_role: str) -> None:
        self._database_url = database_url
        self._n8n_webhook_url = n8n_webhook_url
        self._rate_limit = float(rate_limit) if rate_limit.isdecimal() else float("nan")  # parseInt
        self._callback_role = callback_role
        self.fetches: set[asyncio.Task[None]] = set()  # JavaScript keeps its promises alive by itself
        self.app_url = ""
        self.app = Starlette(
            routes=[
                Route("/api/ai-generate", self.generate, methods=["POST"]),
                Route("/api/ai-callback", self.callback, methods=["POST"]),
                Route("/api/ai-status/{request_id}", self.status, methods=["GET"]),
            ]
        )

    @contextlib.asynccontextmanager
    async def _client(self, role: str, user_id: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self._database_url)
        try:
            claims = json.dumps({"role": role, **({"sub": user_id} if user_id else {})})
            await connection.execute(
                "SELECT set_config('role', $1, false), set_config('request.jwt.claims', $2, false)", role, claims
            )
            yield connection
        finally:
            await connection.close()

    def _user(self, request: Request) -> str | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            return str(jwt.decode(token, JWT_SECRET, algorithms=["HS256"], audience="authenticated")["sub"])
        except jwt.PyJWTError:
            return None

    async def generate(self, request: Request) -> Response:
        user = self._user(request)
        if user is None:
            return JSONResponse({"error": "Unauthorized"}, 401)
        async with self._client("authenticated", user) as supabase:
            members = await supabase.fetch("SELECT organization_id FROM organization_members WHERE user_id = $1", user)
            if len(members) != 1:  # .single()
                return JSONResponse({"error": "No organization found for user"}, 400)
            body = await request.json()
            product, brand = body.get("Product"), body.get("Your Brand")
            if not product or not brand:
                return JSONResponse({"error": "Product and Brand are required"}, 400)
            try:
                count = await supabase.fetchval(COUNT, user)
            except asyncpg.PostgresError:
                count = None  # Supabase's client does not raise, and `const { count }` looks at no error
            if count is not None and count >= self._rate_limit:
                return JSONResponse({"error": "Rate limit exceeded."}, 429)
            row = await supabase.fetchrow(
                "INSERT INTO ai_image_requests (user_id, organization_id, product, brand, status) "
                "VALUES ($1, $2, $3, $4, 'pending') RETURNING *",
                user,
                members[0]["organization_id"],
                product,
                brand,
            )
        payload = {
            "requestId": str(row["id"]),
            "Product": product,
            "Your Brand": brand,
            "callbackUrl": f"{self.app_url}/api/ai-callback",
            "callbackSecret": AI_CALLBACK_SECRET,
        }
        fetch = asyncio.create_task(self.send(user, payload))  # fire and forget
        self.fetches.add(fetch)
        fetch.add_done_callback(self.fetches.discard)
        return JSONResponse({"requestId": str(row["id"]), "status": "pending"}, 202)

    async def send(self, user: str, payload: dict[str, str]) -> None:
        update = "UPDATE ai_image_requests SET status = $2, updated_at = now() WHERE id = $1"
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=None) as http:
                answer = await http.post(self._n8n_webhook_url, json=payload)
            status = "processing" if answer.is_success else "failed"
        except httpx.HTTPError:
            status = "failed"
        async with self._client("authenticated", user) as supabase:
            await supabase.execute(update, payload["requestId"], status)

    async def callback(self, request: Request) -> Response:
        provided = request.headers.get("x-callback-secret")
        if not provided or provided != AI_CALLBACK_SECRET:
            return JSONResponse({"error": "Unauthorized"}, 401)
        body = await request.json()
        log.info("AI callback received: %s", body)
        request_id, status, key, storage_id = (body.get(name) for name in ("requestId", "status", "Key", "Id"))
        if not request_id:
            return JSONResponse({"error": "requestId is required"}, 400)
        values: dict[str, Any] = {}
        try:
            async with self._client(self._callback_role) as supabase:
                if status == "completed" and key and storage_id:
                    values = {"status": "completed", "storage_key": key, "storage_id": storage_id}
                    row = await supabase.fetchrow("SELECT * FROM ai_image_requests WHERE id = $1", request_id)
                    if row is not None:
                        await supabase.execute(
                            "INSERT INTO assets (organization_id, user_id, name, type, format, file_url, status) "
                            "VALUES ($1, $2, $3, 'image', 'PNG', $4, 'approved')",
                            row["organization_id"],
                            row["user_id"],
                            f"AI Generated: {row['product']} - {row['brand']}",
                            f"https://project.supabase.co/storage/v1/object/public/{key}",
                        )
                elif status == "failed" or body.get("error"):
                    values = {"status": "failed", "error_message": body.get("error") or "Unknown error"}
                columns = "".join(f", {name} = ${number}" for number, name in enumerate(values, 2))
                await supabase.execute(
                    f"UPDATE ai_image_requests SET updated_at = now(){columns} WHERE id = $1",
                    request_id,
                    *values.values(),
                )
        except (asyncpg.PostgresError, asyncpg.DataError) as error:
            return JSONResponse({"error": str(error)}, 500)
        return JSONResponse({"success": True})

    async def status(self, request: Request) -> Response:
        user = self._user(request)
        if user is None:
            return JSONResponse({"error": "Unauthorized"}, 401)
        async with self._client("authenticated", user) as supabase:
            row = await supabase.fetchrow(
                "SELECT * FROM ai_image_requests WHERE id = $1 AND user_id = $2",
                request.path_params["request_id"],
                user,
            )
        if row is None:
            return JSONResponse({"error": "Request not found"}, 404)
        return JSONResponse(
            {"requestId": str(row["id"]), "status": row["status"], "errorMessage": row["error_message"]}
        )
