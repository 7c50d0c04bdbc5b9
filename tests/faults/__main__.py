"""Run the checker at length and print the table of the README."""

import argparse
import asyncio
import sys
from collections import defaultdict

from tests.faults.checking import check
from tests.faults.nemesis import FAULTS
from tests.faults.stand import standing

TRANSPORTS = ("websocket", "events", "long poll")


async def run(rounds: int) -> int:
    """Every fault `rounds` times on one stand; the number of broken promises."""
    worst: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(TRANSPORTS, 0.0))
    broken = 0
    async with standing() as stand:
        for number in range(rounds):
            for fault in FAULTS:
                result = await check(stand, fault)
                broken += len(result.violations)
                name = (fault.__doc__ or fault.__name__).splitlines()[0]
                for transport, seconds in result.whole_after.items():
                    worst[name][transport] = max(worst[name][transport], seconds)
                print(f"round {number + 1}, {name} {result.seen} bodies seen, {len(result.violations)} broken promises")
                for violation in result.violations:
                    print(f"    {violation.rule}: {violation.what}")
    print("\n| fault | " + " | ".join(TRANSPORTS) + " |\n| --- |" + " --- |" * len(TRANSPORTS))
    for name, times in worst.items():
        print(f"| {name} | " + " | ".join(f"{times[transport]:.1f} s" for transport in TRANSPORTS) + " |")
    return broken


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how often each fault strikes")
    sys.exit(1 if asyncio.run(run(parser.parse_args().rounds)) else 0)
