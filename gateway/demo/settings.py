"""The demo's settings: what makes it a demo is fixed, everything else comes from the environment."""

from typing import Any

from gateway.settings import Settings

DEFAULTS = {
    "ai_generation_rate_limit_per_hour": 1000,  # playing should not end after ten
    "ws_connections": 1000,  # as many as from one address, since a demo has no other; and no warning about files
    "http_connections": 2000,
}
"""What holds unless the environment says otherwise."""


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
            "n8n_editor_url": "",
            "storage_buckets": (),
            "storage_private_buckets": (),
            "storage_thumbnails": True,
            **fixed,
        }
    )
    defaults = {name: value for name, value in DEFAULTS.items() if name not in settings.model_fields_set}
    origins = (*settings.allowed_origins, url.replace("127.0.0.1", "localhost"))
    return settings.model_copy(update={**defaults, "allowed_origins": origins})
