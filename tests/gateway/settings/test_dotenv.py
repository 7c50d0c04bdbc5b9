"""The .env file, as editors on any system save it."""

import codecs
from pathlib import Path

import pytest

from gateway.settings import Settings, SettingsError

TEXT = "N8N_CONCURRENCY=7\r\nALERT_WEBHOOK_URL=https://chat.example/hüh\r\n"

ENCODINGS = {
    "UTF-8": TEXT.encode(),
    "UTF-8 with its mark": codecs.BOM_UTF8 + TEXT.encode(),
    "UTF-16 with its mark": codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
    "UTF-16, big end first": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    "UTF-16 without its mark": TEXT.encode("utf-16-le"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_is_read(encoding: str) -> None:
    Path(".env").write_bytes(ENCODINGS[encoding])
    settings = Settings.load()
    assert settings.n8n_concurrency == 7
    assert settings.alert_webhook_url is not None
    assert settings.alert_webhook_url.get_secret_value() == "https://chat.example/hüh"


def test_what_is_no_text_is_told() -> None:
    Path(".env").write_bytes(b"APP_URL=http://localhost\nNAME=caf\xe9\n")
    with pytest.raises(SettingsError, match="save it again as UTF-8"):
        Settings.load()
    Path(".env").unlink()
    Path(".env").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings.load()


def test_a_misspelt_setting_is_told() -> None:
    """Settings of other programs may stand in the same file."""
    Path(".env").write_text("N8N_WEBHOK_URL=x\nai_deadline_second=5\nNEXT_PUBLIC_SUPABASE_URL=x\nNODE_ENV=x\nPORT=1\n")
    assert set(Settings.load().warnings) == {
        ".env sets N8N_WEBHOK_URL, which is no setting. Was N8N_WEBHOOK_URL meant?",
        ".env sets ai_deadline_second, which is no setting. Was AI_DEADLINE_SECONDS meant?",
    }


def test_the_other_name_of_app_url_counts_too() -> None:
    Path(".env").write_text("NEXT_PUBLIC_APP_URL=http://localhost:8000\nDRAIN_SECONDS=2\n")
    settings = Settings.load()
    assert (settings.app_url, settings.drain_seconds, settings.warnings) == ("http://localhost:8000", 2, ())
