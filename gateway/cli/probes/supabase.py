"""Whether tokens can be verified and private pictures shown."""

from gateway.auth.signing_keys import KeysUnavailable, published_keys
from gateway.cli.probes.finding import Finding, not_set, ok, problem
from gateway.settings import Settings
from gateway.signed_urls import NoSuchObject, SignedUrls, StorageUnavailable


async def probe_keys(settings: Settings) -> list[Finding]:
    """Fetch the project's published keys. One that publishes none signs with the shared secret."""
    about = "SUPABASE_URL"
    if not settings.supabase_url:
        return [not_set(about, "tokens are verified with SUPABASE_JWT_SECRET alone; pictures are shown from APP_URL")]
    try:
        keys = await published_keys(settings.supabase_url)
    except KeysUnavailable as error:
        return [problem(about, f"the project's signing keys cannot be read ({error})")]
    if keys:
        return [ok(about, f"the project publishes {len(keys)} signing key{'s' if len(keys) > 1 else ''}")]
    if not settings.supabase_jwt_secret.get_secret_value():
        empty = "is empty, and the project publishes no key: no user's token can be verified"
        return [problem("SUPABASE_JWT_SECRET", empty)]
    return [ok(about, "the project publishes no signing key; SUPABASE_JWT_SECRET verifies tokens")]


async def probe_storage(settings: Settings) -> list[Finding]:
    """Have a picture signed that does not exist."""
    if not settings.storage_private_buckets:
        return [not_set("STORAGE_PRIVATE_BUCKETS", "pictures have public URLs")]
    about = "SUPABASE_SERVICE_ROLE_KEY"
    signed_urls = SignedUrls(settings)
    try:
        await signed_urls.of(f"{settings.storage_private_buckets[0]}/gateway-check")
    except NoSuchObject:
        pass
    except StorageUnavailable as error:
        return [problem(about, f"Storage does not sign ({error})")]
    finally:
        await signed_urls.aclose()
    return [ok(about, "Storage signs private pictures")]
