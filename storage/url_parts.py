"""What is common to the URLs of servers."""

from urllib.parse import SplitResult


def ends_in_password(parts: SplitResult) -> bool:
    """Whether the server's name begins too early: a password holds a `/`, `?` or `#` that is not written as `%2F`…,
    and what is before it looks like a name and a port."""
    if parts.fragment:
        return True
    if "@" in parts.netloc:
        return False
    names = (option.partition("=")[0] for option in parts.query.split("&"))
    return "@" in parts.path or (not parts.path and "@" in parts.query) or any("@" in name for name in names)
