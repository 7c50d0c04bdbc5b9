"""The settings, and what must be true of each and of several together.

All problems are reported at once: `SettingsError.problems` holds one sentence each, never a value.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.settings.addresses import (
    base_url,
    http_url,
    is_local,
    networks,
    origin,
    origin_of,
    root_url,
    workflow_url,
)
from gateway.settings.dotenv import UnreadableFile, misspelt, read_dotenv
from gateway.settings.field_types import Amount, Currency, Deadline, Limit, Seconds, Separated, each, unless_empty
from gateway.settings.page_texts import read_page_texts
from gateway.settings.redis_url import check_redis_url
from gateway.settings.secret_values import (
    DEVELOPMENT_SECRETS,
    check_header,
    check_strong,
    is_weak,
    role_of_key,
)
from storage.costs import Pricing
from storage.database.postgres_url import read_url


class SettingsError(Exception):
    """The settings cannot be used; `problems` says why, one sentence each, and `names` which fields they are about."""

    def __init__(self, problems: list[str], names: frozenset[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.names = names


class Settings(BaseSettings):
    """The settings, under the names of their environment variables in lower case."""

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, validate_default=True, validate_by_name=True, hide_input_in_errors=True
    )

    # First, because the other fields' checks depend on them.
    environment: Literal["development", "production"] = "development"
    app_url: Annotated[str, AfterValidator(root_url)] = Field(
        default="http://127.0.0.1:8000", validation_alias=AliasChoices("app_url", "next_public_app_url")
    )

    allowed_origins: Annotated[Separated, each(origin)] = ()
    """Whole origins, compared as text: ``http://localhost:3000`` and ``http://127.0.0.1:3000`` are two."""
    allowed_headers: Separated = ()
    """Request headers that pages may send, besides ours and the usual ones for tracing."""

    n8n_webhook_url: Annotated[str, unless_empty(http_url)] = ""
    n8n_webhook_secret: SecretStr = SecretStr(DEVELOPMENT_SECRETS["n8n_webhook_secret"])
    n8n_timeout_seconds: Seconds = 120
    n8n_concurrency: int = Field(default=50, ge=1, le=1000)
    n8n_attempts: int = Field(default=12, ge=1, le=100)
    n8n_api_url: Annotated[str, unless_empty(base_url)] = ""
    n8n_api_key: SecretStr | None = None
    n8n_editor_url: Annotated[str, unless_empty(workflow_url)] = ""
    """The workflow's address in n8n's editor, as people reach it: the dashboard leads to its executions."""

    ai_callback_secret: SecretStr = SecretStr(DEVELOPMENT_SECRETS["ai_callback_secret"])
    ai_callback_secret_previous: SecretStr | None = None
    ai_generation_rate_limit_per_hour: int = Field(default=10, ge=1, le=1_000_000)
    ai_generation_mode: Literal["async", "sync"] = "async"
    ai_sync_timeout_seconds: Seconds = 55
    ai_generation_cost: Amount | None = None
    ai_currency: Currency | None = None
    ai_org_monthly_budget: Amount | None = None
    ai_stuck_after_seconds: Deadline = 300
    ai_deadline_seconds: Deadline = 900

    database_url: SecretStr = SecretStr("sqlite:///gateway.sqlite3")
    redis_url: SecretStr | None = None

    supabase_url: Annotated[str, unless_empty(base_url)] = ""
    supabase_jwt_secret: SecretStr = SecretStr(DEVELOPMENT_SECRETS["supabase_jwt_secret"])
    supabase_anon_key: SecretStr | None = None
    supabase_service_role_key: SecretStr | None = None
    storage_buckets: Separated = ()
    storage_private_buckets: Separated = ()
    storage_thumbnails: bool = False
    """Whether Storage may be asked for small variants: Supabase's image transformations, which are billed."""

    page_texts: Annotated[str, unless_empty(read_page_texts)] = ""
    """Set to a file's path; read at once, so that this is what it says, as JSON."""

    alert_webhook_url: SecretStr | None = None
    metrics_token: SecretStr | None = None
    forwarded_allow_ips: Annotated[str, AfterValidator(networks)] = "127.0.0.1"
    clock_skew_seconds: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = 60
    """How far ahead of ours the clock of whoever issues tokens may be."""

    # Limits of one process: first of all connections, then of the realtime ones.
    http_connections_per_address: Limit = 2000
    http_connections: Limit = 20_000
    ws_connections_per_user: Limit = 50
    ws_connections_per_address: Limit = 1000
    ws_connections: Limit = 20_000
    ws_subscriptions: Limit = 1000
    ws_frame_bytes: int = Field(default=16 * 1024, ge=1024, le=1024 * 1024)
    ws_frames_per_second: Limit = 50
    ws_auth_seconds: Seconds = 10
    ws_ping_seconds: Seconds = 20
    ws_stall_seconds: Seconds = 30
    reconcile_seconds: Seconds = 15
    drain_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 10

    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Overrides first, then the environment, then our reading of ``.env``."""
        read = {name.lower(): value for name, value in read_dotenv().items()}
        return init_settings, env_settings, InitSettingsSource(settings_cls, read)

    @model_validator(mode="before")
    @classmethod
    def _stripped(cls, values: Any) -> Any:  # noqa: ANN401 - whatever the sources brought
        """Editors and dashboards leave a newline, a carriage return or a byte order mark where nobody sees it."""
        stripped = {
            name: value.strip().strip("\ufeff").strip() if isinstance(value, str) else value
            for name, value in values.items()
        }
        return {name: value for name, value in stripped.items() if value != "" or name not in _UNSET_WHEN_EMPTY}

    @field_validator(
        "allowed_origins",
        "allowed_headers",
        "storage_buckets",
        "storage_private_buckets",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("app_url")
    @classmethod
    def _app_url(cls, value: str, info: ValidationInfo) -> str:
        if _production(info) and is_local(value):
            raise ValueError("is not set, or points at this machine: n8n calls back to it, browsers come from it")
        return value

    @field_validator("allowed_headers")
    @classmethod
    def _header_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"[!#$%&'+.^_`|~0-9A-Za-z-]+", name) for name in value):
            raise ValueError("must list names of headers such as X-Request-Id, separated by commas (no *)")
        return value

    @field_validator("n8n_webhook_url")
    @classmethod
    def _webhook_url(cls, value: str, info: ValidationInfo) -> str:
        if not value and _production(info):
            raise ValueError("is not set: where should requests be sent?")
        return value

    @field_validator("alert_webhook_url")
    @classmethod
    def _alert_url(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(http_url(value.get_secret_value()))

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

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if not url.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("must start with sqlite:///, postgresql:// or postgres://")
        if not url.startswith("sqlite:"):
            read_url(url)
        return SecretStr(url)

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_redis_url(value.get_secret_value())
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
        role = None if value is None else role_of_key(value.get_secret_value())
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
        check_header(text)
        if _production(info) or not is_local(info.data.get("app_url", "http://localhost")):
            check_strong(text)  # whoever can reach the gateway could sign a token with one that is published
        elif not text:
            raise ValueError("is empty")
        return value

    @field_validator("n8n_api_key", "metrics_token", "supabase_anon_key", "supabase_service_role_key")
    @classmethod
    def _sent_in_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_header(value.get_secret_value())
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
            settings = cls(**dict(overrides or {}))
            found = misspelt(read_dotenv(), _names(cls))
        except UnreadableFile as error:
            raise SettingsError([str(error)], frozenset()) from None
        except ValidationError as error:
            raise SettingsError(
                [_sentence(dict(problem)) for problem in error.errors()],
                frozenset(str(problem["loc"][0]) for problem in error.errors() if problem["loc"]),
            ) from None
        settings._warnings = tuple(
            f".env sets {name}, which is no setting. Was {meant} meant?" for name, meant in found.items()
        )
        return settings

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may well be a mistake, a sentence each, and stops nothing."""
        if self.forwarded_allow_ips != "*":
            return self._warnings
        return (
            *self._warnings,
            "FORWARDED_ALLOW_IPS is *: whoever reaches the gateway directly escapes its own limits. Name the proxy.",
        )

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
        return any(map(is_weak, secrets.values()))

    @property
    def single_process_reason(self) -> str | None:
        """Why more than one process cannot serve these settings; None when they can."""
        missing = []
        if self.database_url.get_secret_value().startswith("sqlite:"):
            missing.append("DATABASE_URL to PostgreSQL")
        if self.redis_url is None:
            missing.append("REDIS_URL to Redis")
        return f"More than one process needs shared servers: set {' and '.join(missing)}." if missing else None


_UNSET_WHEN_EMPTY = frozenset(
    {
        *("environment", "app_url", "next_public_app_url", "database_url", "redis_url", "ai_callback_secret_previous"),
        *("metrics_token", "ai_generation_cost", "ai_org_monthly_budget", "alert_webhook_url", "n8n_api_key"),
        *("ai_currency", "storage_thumbnails"),
        *("supabase_anon_key", "supabase_service_role_key", "forwarded_allow_ips"),
    }
)
"""Fields for which nothing is no value. An empty secret is a mistake, or a decision (`SUPABASE_JWT_SECRET`)."""


def _names(settings: type[Settings]) -> set[str]:
    """The names of all settings, as they are written in the environment."""
    return {name.upper() for name in settings.model_fields} | {"NEXT_PUBLIC_APP_URL"}


def _production(info: ValidationInfo) -> bool:
    return info.data.get("environment") == "production"


def _sentence(problem: dict[str, Any]) -> str:
    name = str(problem["loc"][0]).upper() if problem["loc"] else "Settings"
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name} {reason}" if problem["type"] == "value_error" else f"{name}: {reason}"
