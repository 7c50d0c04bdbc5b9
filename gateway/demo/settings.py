"""The demo's settings: what makes it a demo is fixed, everything else comes from the environment."""

from typing import Any

from gateway.settings import Settings

RATE_LIMIT = 1000
"""Submissions an hour, unless AI_GENERATION_RATE_LIMIT_PER_HOUR says otherwise: playing should not end after ten."""


def demo_settings(url: str, **fixed: Any) -> Settings:  # noqa: ANN401 - the fields' own types
    """The settings of a demo at `url`.

    Args:
        url: the demo's address.
        fixed: settings that win over the environment, by field name.

    Raises:
        SettingsError: the environment holds settings that cannot be used.
    """
    settings = Settings.load(
        {
            "environment": "development",
            "app_url": url,
            "supabase_url": url,
            "n8n_webhook_url": f"{url}/demo/n8n/webhook/ai-image",
            "n8n_api_url": "",
            "n8n_api_key": None,
            "storage_buckets": (),
            "storage_private_buckets": (),
            **fixed,
        }
    )
    changes: dict[str, object] = {
        "allowed_origins": (*settings.allowed_origins, url.replace("127.0.0.1", "localhost")),
    }
    if "ai_generation_rate_limit_per_hour" not in settings.model_fields_set:
        changes["ai_generation_rate_limit_per_hour"] = RATE_LIMIT
    return settings.model_copy(update=changes)
