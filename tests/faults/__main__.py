"""Run the checker at length.

python -m tests.faults --rounds 3      every fault three times, and the table of tests/README.md
python -m tests.faults --safeguards    every safeguard switched off in turn: each must be found missing
"""

import argparse
import asyncio
import sys
from collections import defaultdict

from tests.faults.checking import check
from tests.faults.nemesis import FAULTS
from tests.faults.rolling import roll
from tests.faults.safeguards import SAFEGUARDS, without
from tests.faults.stand import standing

TRANSPORTS = ("websocket", "supabase", "events", "long poll")


async def strike(rounds: int) -> int:
    """Every fault `rounds` times on one stand; the number of broken promises."""
    worst: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(TRANSPORTS, 0.0))
    broken = 0
    async with standing() as stand:
        for number in range(rounds):
            for fault in FAULTS:
                result = await check(stand, fault)
                broken += len(result.violations)
                name = (fault.__doc__ or fault.__name__).splitlines()[0].rstrip(".")
                for transport, seconds in result.whole_after.items():
                    worst[name][transport] = max(worst[name][transport], seconds)
                told = f"{result.seen} bodies seen, {len(result.violations)} broken promises"
                print(f"round {number + 1}: {name}: {told}", flush=True)
                for violation in result.violations:
                    print(f"    {violation.rule}: {violation.what}")
    print("\n| fault | " + " | ".join(TRANSPORTS) + " |\n| --- |" + " --- |" * len(TRANSPORTS))
    for name, times in worst.items():
        print(f"| {name} | " + " | ".join(f"{times[transport]:.1f} s" for transport in TRANSPORTS) + " |")
    return broken


async def switch_off() -> int:
    """Every safeguard in turn; the number of those that the checker did not miss."""
    unnoticed = 0
    for safeguard in SAFEGUARDS:
        result = await without(safeguard)
        rules = sorted({violation.rule for violation in result.violations})
        noticed = safeguard.breaks in rules
        unnoticed += not noticed
        print(
            f"without the {safeguard.name}: {', '.join(rules) or 'nothing'} {'(noticed)' if noticed else '(!)'}",
            flush=True,
        )
    return unnoticed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1, help="how often each fault strikes")
    parser.add_argument("--safeguards", action="store_true", help="switch safeguards off instead")
    parser.add_argument("--rolling", type=int, metavar="CLIENTS", help="restart in turn under that many clients")
    asked = parser.parse_args()
    if asked.rolling:
        broken = asyncio.run(roll(asked.rolling))
        print("\n".join(broken) or "nothing lost, no spike")
        sys.exit(1 if broken else 0)
    sys.exit(1 if asyncio.run(switch_off() if asked.safeguards else strike(asked.rounds)) else 0)
