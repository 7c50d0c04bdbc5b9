"""Why something cannot be reached, in words."""

import socket
import ssl
from collections.abc import Iterator


def why_unreachable(error: BaseException) -> str:
    """The reason at the bottom of `error`: a name, a port, TLS or time."""
    chain = list(causes(error))
    for cause in reversed(chain):
        if (reason := reason_of(cause)) is not None:
            return reason
    named = next((cause for cause in reversed(chain) if first_line(cause)), error)
    return f"cannot be reached ({type(named).__name__}: {first_line(named)})"


def reason_of(error: BaseException) -> str | None:
    """What `error` itself says of the way to a server, if it is about that."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"cannot be reached: its TLS certificate is not believed ({error.verify_message})"
        case ssl.SSLError():
            return f"cannot be reached: TLS failed ({first_line(error)})"
        case socket.gaierror():
            return "cannot be reached: its host name is not known"
        case ConnectionRefusedError():
            return "cannot be reached: nothing listens there"
        case TimeoutError():
            return "cannot be reached: it did not answer in time"
        case _:
            return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error`, and what it came from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without a full stop."""
    return str(error).strip().partition("\n")[0].rstrip(".")
