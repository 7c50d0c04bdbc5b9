"""Every setting, read from the environment or a ``.env`` file and validated together."""

from gateway.settings.addresses import is_local, origin_of
from gateway.settings.model import Settings, SettingsError
from gateway.settings.secret_values import DEVELOPMENT_SECRETS, SECRET_LENGTH

__all__ = ["DEVELOPMENT_SECRETS", "SECRET_LENGTH", "Settings", "SettingsError", "is_local", "origin_of"]
