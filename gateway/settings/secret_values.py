"""Secrets as settings: which are known to everyone, which can be guessed, and which no header can carry."""

import jwt

SECRET_LENGTH = 32
"""Shortest secret accepted in production: HMAC-SHA256 wants a key as long as its output (RFC 7518, section 3.2)."""

DEVELOPMENT_SECRETS = {
    "n8n_webhook_secret": "development-n8n-webhook-secret-not-for-production",
    "ai_callback_secret": "development-callback-secret-not-for-production",
    # The one that the Supabase CLI gives every local project.
    "supabase_jwt_secret": "super-secret-jwt-token-with-at-least-32-characters-long",
}

_PUBLISHED_SECRETS = {
    *DEVELOPMENT_SECRETS.values(),
    # Printed in the original design document, so the whole world knows them.
    "your-secret-token-here-generate-a-random-string",
    "another-secret-token-for-callback-verification",
    # And in Supabase's example for self-hosting.
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
}


def is_weak(secret: str) -> bool:
    """Whether everyone knows `secret`, or could guess it."""
    return secret in _PUBLISHED_SECRETS or len(secret) < SECRET_LENGTH


def check_strong(secret: str) -> None:
    """Refuse a weak secret.

    Raises:
        ValueError: everyone knows it, or could guess it.
    """
    if not secret or secret in _PUBLISHED_SECRETS:
        raise ValueError("is not set, or is a published default: make one with `openssl rand -base64 32`")
    if is_weak(secret):
        raise ValueError(f"is shorter than {SECRET_LENGTH} characters: use `openssl rand -base64 32`")


def check_header(secret: str) -> None:
    """Refuse what a header cannot carry, or what two programs would read differently (RFC 9110, section 5.5).

    Raises:
        ValueError: it is not printable ASCII.
    """
    if not secret.isascii() or not secret.isprintable():
        raise ValueError("must be printable ASCII, so that it means the same wherever it is typed")


def role_of_key(key: str) -> str | None:
    """Which role a Supabase API key stands for, by its form; the signature is Supabase's affair."""
    if key.startswith("sb_publishable_"):
        return "anon"
    if key.startswith("sb_secret_"):
        return "service_role"
    try:
        return str(jwt.decode(key, options={"verify_signature": False}).get("role"))
    except (jwt.PyJWTError, ValueError, RecursionError):  # some of PyJWT's releases let them through
        return None
