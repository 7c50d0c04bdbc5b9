"""A stand-in for a Supabase project's HTTP side, which cannot be had here: published keys, and Storage's signing."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.server.listener import bind
from tests.running import serving

SERVICE_KEY = "sb_secret_of-the-stand-in"

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def new_key(algorithm: str) -> PrivateKey:
    if algorithm.startswith("RS"):
        return rsa.generate_private_key(65537, 2048)
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: PrivateKey, algorithm: str, kid: str, **more: Any) -> dict[str, Any]:
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "alg": algorithm, "use": "sig", "key_ops": ["verify"], **more}


def claims(user_id: str, **changes: Any) -> dict[str, Any]:
    """What Supabase writes into an access token."""
    now = int(time.time())
    made = {
        "iss": "https://project.supabase.co/auth/v1",
        "sub": user_id,
        "aud": "authenticated",
        "iat": now,
        "exp": now + 600,
        "email": "ada@example.com",
        "app_metadata": {"provider": "email"},
        "user_metadata": {},
        "role": "authenticated",
        "session_id": str(uuid.uuid4()),
        "is_anonymous": False,
    }
    return {**made, **changes}


class SupabaseProject:
    """Signs tokens, publishes keys, keeps private objects."""

    def __init__(self) -> None:
        self.url = ""
        self.published: dict[str, tuple[PrivateKey, str]] = {}
        self.extra: list[Any] = []
        self.answer: Response | None = None
        """What the key endpoint answers instead of the keys."""
        self.fetches = 0
        self.delay = 0.0
        self.objects: set[str] = set()
        self.signed: list[tuple[str, dict[str, str]]] = []
        self.storage_answer: Response | None = None
        self.transforms = False
        """Whether the project has image transformations."""
        self.variants: list[dict[str, Any]] = []
        """What has been asked of them."""

    def publish(self, algorithm: str, kid: str | None = None) -> str:
        kid = kid or str(uuid.uuid4())
        self.published[kid] = (new_key(algorithm), algorithm)
        return kid

    def token(self, kid: str, user_id: str, **changes: Any) -> str:
        key, algorithm = self.published[kid]
        return jwt.encode(claims(user_id, **changes), key, algorithm=algorithm, headers={"kid": kid})

    async def jwks(self, request: Request) -> Response:
        self.fetches += 1
        await asyncio.sleep(self.delay)
        if self.answer is not None:
            return self.answer
        keys = [public_jwk(key, algorithm, kid) for kid, (key, algorithm) in self.published.items()]
        return JSONResponse({"keys": [*keys, *self.extra]}, headers={"Cache-Control": "public, max-age=600"})

    async def sign(self, request: Request) -> Response:
        if self.storage_answer is not None:
            return self.storage_answer
        name = request.path_params["name"]
        self.signed.append((name, dict(request.headers)))
        asked = json.loads(await request.body())
        lifetime = asked["expiresIn"]
        if request.headers.get("apikey") != SERVICE_KEY:
            return JSONResponse({"statusCode": "403", "error": "Unauthorized", "message": "Invalid key"}, 400)
        if name not in self.objects:
            return JSONResponse({"statusCode": "404", "error": "not_found", "message": "Object not found"}, 400)
        path = request.url.path.removeprefix("/storage/v1")
        if "transform" in asked:
            self.variants.append(asked["transform"])
            path = path.replace("/object/", "/render/image/") if self.transforms else path
        return JSONResponse({"signedURL": f"{path}?token={lifetime}-{len(self.signed)}"})

    async def signed_object(self, request: Request) -> Response:
        good = request.path_params["name"] in self.objects and "token" in request.query_params
        return Response(b"\x89PNG", media_type="image/png") if good else JSONResponse({"error": "InvalidJWT"}, 400)


@contextlib.asynccontextmanager
async def supabase_project() -> AsyncIterator[SupabaseProject]:
    project = SupabaseProject()
    app = Starlette(
        routes=[
            Route("/auth/v1/.well-known/jwks.json", project.jwks),
            Route("/storage/v1/object/sign/{name:path}", project.sign, methods=["POST"]),
            Route("/storage/v1/object/sign/{name:path}", project.signed_object, methods=["GET"]),
        ]
    )
    listener = bind("127.0.0.1", 0)
    project.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    async with serving(app, config, listener):
        yield project
