"""The pauses between attempts to reach n8n."""

import random

FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 60.0


def retry_delay(attempts: int) -> float:
    """Seconds before attempt number `attempts` + 1: doubling, capped, and spread so that many do not return at once.

    The first lies between 1 and 3 seconds: an n8n that restarts quickly costs its users little.
    """
    longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(attempts - 1, 30))
    return longest * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, hides nothing
