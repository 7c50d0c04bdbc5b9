"""A gateway that kills itself (SIGKILL) at one point of a dispatch, and is the real one in everything else.

DIE_AT=before-mark python -m tests.processes.dying_gateway serve --port 8000
"""

import os
import signal
from typing import Any, NoReturn

from gateway.cli import main
from gateway.n8n import webhook
from storage import dispatch


def die(*arguments: Any, **options: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


async def sent_then_die(self: webhook.Webhook, request: Any) -> Any:
    await send(self, request)
    die()


send = webhook.Webhook.send
dispatch.LEASE_SECONDS = 1.0
match os.environ.get("DIE_AT"):
    case "before-mark":
        dispatch.mark_sending = die
    case "after-mark":
        webhook.Webhook.send = die  # type: ignore[method-assign]
    case "after-sending":
        webhook.Webhook.send = sent_then_die  # type: ignore[method-assign]

if __name__ == "__main__":
    main()
