"""Every setting, read from the environment or a ``.env`` file and validated together.

All problems are reported at once: `SettingsError.problems` holds one sentence each, never a value.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import httpx
import jwt
from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from storage.costs import Pricing

SECRET_LENGTH = 32
"""Shortest secret accepted in production: HMAC-SHA256 wants a key as long as its output (RFC 7518, section 3.2)."""

DEVELOPMENT_SECRETS = {
    "n8n_webhook_secret": "development-n8n-webhook-secret-not-for-production",
    "ai_callback_secret": "development-callback-secret-not-for-production",
    # The one that the Supabase CLI gives every local project.
    "supabase_jwt_secret": "super-secret-jwt-token-with-at-least-32-characters-long",
}

# Printed in the original design document, so the whole world knows them.
_PUBLISHED_SECRETS = {
    "your-secret-token-here-generate-a-random-string",
    "another-secret-token-for-callback-verification",
    # And in Supabase's example for self-hosting.
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
}

_LOCAL = {"127.0.0.1", "localhost", "::1"}

Separated = Annotated[tuple[str, ...], NoDecode]
"""A comma-separated list."""


class SettingsError(Exception):
    """The settings cannot be used; `problems` says why, one sentence each, and `names` which fields they are about."""

    def __init__(self, problems: list[str], names: frozenset[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.names = names


class Settings(BaseSettings):
    """The settings, under the names of their environment variables in lower case."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, validate_default=True, hide_input_in_errors=True
    )

    # First, because the other fields' checks depend on it.
    environment: Literal["development", "production"] = "development"

    app_url: str = Field(
        default="http://127.0.0.1:8000", validation_alias=AliasChoices("app_url", "next_public_app_url")
    )
    allowed_origins: Separated = ()

    n8n_webhook_url: str = ""
    n8n_webhook_secret: SecretStr = SecretStr(DEVELOPMENT_SECRETS["n8n_webhook_secret"])
    n8n_timeout_seconds: float = Field(default=120, gt=0, le=3600)
    n8n_concurrency: int = Field(default=50, ge=1, le=1000)
    n8n_attempts: int = Field(default=12, ge=1, le=100)
    n8n_api_url: str = ""
    n8n_api_key: SecretStr | None = None

    ai_callback_secret: SecretStr = SecretStr(DEVELOPMENT_SECRETS["ai_callback_secret"])
    ai_callback_secret_previous: SecretStr | None = None
    ai_generation_rate_limit_per_hour: int = Field(default=10, ge=1, le=1_000_000)
    ai_generation_mode: Literal["async", "sync"] = "async"
    ai_sync_timeout_seconds: float = Field(default=55, gt=0, le=900)
    ai_generation_cost: Decimal | None = Field(default=None, ge=0, le=1_000_000, allow_inf_nan=False)
    ai_org_monthly_budget: Decimal | None = Field(default=None, ge=0, allow_inf_nan=False)
    ai_stuck_after_seconds: float = Field(default=300, gt=0)
    ai_deadline_seconds: float = Field(default=900, gt=0)

    database_url: SecretStr = SecretStr("sqlite:///gateway.sqlite3")
    redis_url: SecretStr | None = None

    supabase_url: str = ""
    supabase_jwt_secret: SecretStr = SecretStr(DEVELOPMENT_SECRETS["supabase_jwt_secret"])
    supabase_anon_key: SecretStr | None = None
    supabase_service_role_key: SecretStr | None = None
    storage_buckets: Separated = ()
    storage_private_buckets: Separated = ()

    alert_webhook_url: SecretStr | None = None
    metrics_token: SecretStr | None = None
    forwarded_allow_ips: str = "127.0.0.1"

    # Limits of one process: first of all connections, then of the realtime ones.
    http_connections_per_address: int = Field(default=2000, ge=1, le=1_000_000)
    http_connections: int = Field(default=20_000, ge=1, le=1_000_000)
    ws_connections_per_user: int = Field(default=50, ge=1)
    ws_connections_per_address: int = Field(default=1000, ge=1)
    ws_connections: int = Field(default=20_000, ge=1)
    ws_subscriptions: int = Field(default=1000, ge=1)
    ws_frame_bytes: int = Field(default=16 * 1024, ge=1024, le=1024 * 1024)
    ws_frames_per_second: int = Field(default=50, ge=1)
    ws_auth_seconds: float = Field(default=10, gt=0)
    ws_ping_seconds: float = Field(default=20, gt=0)
    ws_stall_seconds: float = Field(default=30, gt=0)
    reconcile_seconds: float = Field(default=15, gt=0)
    drain_seconds: float = Field(default=10, ge=0)

    @field_validator("allowed_origins", "storage_buckets", "storage_private_buckets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator(
        "redis_url",
        "ai_callback_secret_previous",
        "metrics_token",
        "ai_generation_cost",
        "ai_org_monthly_budget",
        "alert_webhook_url",
        "n8n_api_key",
        "supabase_anon_key",
        "supabase_service_role_key",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("app_url", "supabase_url", "n8n_webhook_url", "n8n_api_url")
    @classmethod
    def _http_url(cls, value: str, info: ValidationInfo) -> str:
        if not value:
            if info.field_name == "n8n_webhook_url" and _production(info):
                raise ValueError("is not set: where should requests be sent?")
            return value
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL that starts with http:// or https://")
        if info.field_name == "app_url" and _production(info) and parts.hostname in _LOCAL:
            raise ValueError("is not set, or points at this machine: n8n calls back to it, browsers come from it")
        return value.rstrip("/") if info.field_name != "n8n_webhook_url" else value

    @field_validator("alert_webhook_url")
    @classmethod
    def _alert_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            url = httpx.URL(value.get_secret_value().strip())
        except httpx.InvalidURL:
            raise ValueError("is no URL") from None  # without the reason, which quotes it
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("must be a URL that starts with http:// or https://")
        return SecretStr(str(url))

    @field_validator("ai_org_monthly_budget")
    @classmethod
    def _budget(cls, value: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if value is not None and not info.data.get("ai_generation_cost"):
            raise ValueError(
                "needs an AI_GENERATION_COST above 0: without it, what is under way would count for nothing"
            )
        return value

    @property
    def pricing(self) -> Pricing:
        """What requests are expected to cost, and what an organization may spend."""
        return Pricing(self.ai_generation_cost, self.ai_org_monthly_budget)

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
                raise ValueError("must list origins such as https://app.example.com, separated by commas (no *)")
        return tuple(origin_of(origin) for origin in value)

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value() or "sqlite:///gateway.sqlite3"
        if not url.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("must start with sqlite:///, postgresql:// or postgres://")
        _check_port(url)
        return SecretStr(url)

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://")):
            raise ValueError("must start with redis:// or rediss://")
        if value is not None:
            _check_port(value.get_secret_value())
        return value

    @field_validator("n8n_api_key")
    @classmethod
    def _api_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (value is None) == bool(info.data.get("n8n_api_url")):
            raise ValueError("and N8N_API_URL belong together: set both, or neither")
        return value

    @field_validator("supabase_anon_key", "supabase_service_role_key")
    @classmethod
    def _supabase_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """The two kinds of keys are easily exchanged: one is for browsers, the other opens everything."""
        role = None if value is None else _role_of_key(value.get_secret_value())
        if info.field_name == "supabase_anon_key" and role == "service_role":
            raise ValueError("is a secret key, which opens everything: use the publishable (anon) one")
        if info.field_name == "supabase_service_role_key" and role == "anon":
            raise ValueError("is a publishable key, which may sign nothing: use the secret (service_role) one")
        return value

    @field_validator("storage_private_buckets")
    @classmethod
    def _private_buckets(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if value and (not info.data.get("supabase_url") or info.data.get("supabase_service_role_key") is None):
            raise ValueError("needs SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY, with which its URLs are signed")
        return value

    @field_validator("n8n_webhook_secret", "ai_callback_secret", "supabase_jwt_secret", "ai_callback_secret_previous")
    @classmethod
    def _secret(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None:
            return value
        text = value.get_secret_value()
        if not text and info.field_name == "supabase_jwt_secret" and info.data.get("supabase_url"):
            return value  # the project signs with published keys alone: no token with a shared secret is good
        if not text and not _production(info):
            raise ValueError("is empty")
        if not text.isascii() or not text.isprintable():
            raise ValueError("must be printable ASCII, so that it means the same wherever it is typed")
        if _production(info):
            if text in DEVELOPMENT_SECRETS.values() or text in _PUBLISHED_SECRETS:
                raise ValueError("is not set, or is a published default: make one with `openssl rand -base64 32`")
            if len(text) < SECRET_LENGTH:
                raise ValueError(f"is shorter than {SECRET_LENGTH} characters: use `openssl rand -base64 32`")
        return value

    @classmethod
    def load(cls, overrides: Mapping[str, Any] | None = None) -> Self:
        """The settings of this process.

        Args:
            overrides: values that win over the environment, by field name.

        Raises:
            SettingsError: with every problem at once.
        """
        try:
            return cls(**dict(overrides or {}))
        except ValidationError as error:
            raise SettingsError(
                [_sentence(dict(problem)) for problem in error.errors()],
                frozenset(str(problem["loc"][0]) for problem in error.errors() if problem["loc"]),
            ) from None

    @property
    def origins(self) -> frozenset[str]:
        """The origins from which browsers may come."""
        return frozenset({origin_of(self.app_url), *self.allowed_origins})

    @property
    def storage_base(self) -> str:
        """Where the object store's public URLs start."""
        return self.supabase_url or self.app_url

    @property
    def allowed_buckets(self) -> frozenset[str]:
        """The buckets in which pictures may lie; any when empty."""
        return (
            frozenset({*self.storage_buckets, *self.storage_private_buckets}) if self.storage_buckets else frozenset()
        )

    @property
    def callback_url(self) -> str:
        """Where n8n calls back."""
        return f"{self.app_url}/api/ai-callback"

    @property
    def form_mode(self) -> str:
        """What the workflow is told of the environment, in the original design's words."""
        return "production" if self.environment == "production" else "test"

    @property
    def has_weak_secrets(self) -> bool:
        """Whether a secret is in use that everyone knows or that can be guessed."""
        secrets = {name: getattr(self, name).get_secret_value() for name in DEVELOPMENT_SECRETS}
        if self.supabase_url and not secrets["supabase_jwt_secret"]:
            del secrets["supabase_jwt_secret"]
        return any(len(text) < SECRET_LENGTH or text == DEVELOPMENT_SECRETS[name] for name, text in secrets.items())

    @property
    def single_process_reason(self) -> str | None:
        """Why more than one process cannot serve these settings; None when they can."""
        missing = []
        if self.database_url.get_secret_value().startswith("sqlite:"):
            missing.append("DATABASE_URL to PostgreSQL")
        if self.redis_url is None:
            missing.append("REDIS_URL to Redis")
        return f"More than one process needs shared servers: set {' and '.join(missing)}." if missing else None


def origin_of(url: str) -> str:
    """The origin of `url` as a browser writes it (RFC 6454): scheme, host, and the port unless it is the default."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, default) else "")


def _check_port(url: str) -> None:
    """Drivers would stumble over a password's slash only later, and quote what follows it as the port."""
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError("cannot be read: write / @ : # ? % in its password as %2F %40 %3A %23 %3F %25") from None


def _role_of_key(key: str) -> str | None:
    """Which role a Supabase API key stands for, by its form; the signature is Supabase's affair."""
    if key.startswith("sb_publishable_"):
        return "anon"
    if key.startswith("sb_secret_"):
        return "service_role"
    try:
        return str(jwt.decode(key, options={"verify_signature": False}).get("role"))
    except jwt.PyJWTError:
        return None


def _production(info: ValidationInfo) -> bool:
    return info.data.get("environment") == "production"


def _sentence(problem: dict[str, Any]) -> str:
    name = str(problem["loc"][0]).upper() if problem["loc"] else "Settings"
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name} {reason}" if problem["type"] == "value_error" else f"{name}: {reason}"
