"""The checker is itself checked: it must find each safeguard missing when it is switched off."""

from dataclasses import dataclass

from tests.faults.checking import Result, check
from tests.faults.nemesis import Fault, bus_lossy_to_the_end, nothing, redis_killed_to_the_end
from tests.faults.stand import standing


@dataclass(frozen=True, slots=True)
class Safeguard:
    """One safeguard, the fault from which it protects, and the promise that breaks without it.

    Attributes:
        reconcile_seconds: how often the stand's gateways reconcile; rarely, where that would cover up for another.
        within: how soon after the heal clients must be whole.
        quiet_seconds: how long n8n is silent at first; longer than a lease, where that is what is tried.
    """

    name: str
    fault: Fault
    breaks: str
    reconcile_seconds: float = 15.0
    within: float = 20.0
    quiet_seconds: float = 0.0


SAFEGUARDS = (
    Safeguard("version check", bus_lossy_to_the_end, "backward"),
    Safeguard("reconcile", bus_lossy_to_the_end, "stale", within=4.0),
    Safeguard("gap", redis_killed_to_the_end, "stale", reconcile_seconds=3600.0, within=4.0),
    Safeguard("owner check", nothing, "foreign"),
    Safeguard("status guard", nothing, "assets"),
    Safeguard("sending mark", nothing, "sent twice", quiet_seconds=3.0),
    Safeguard("durable row", nothing, "lost", within=1.0),
)


async def without(safeguard: Safeguard) -> Result:
    """What the checker finds when the safeguard is off."""
    async with standing(sabotage=safeguard.name, reconcile_seconds=safeguard.reconcile_seconds) as stand:
        return await check(stand, safeguard.fault, within=safeguard.within, quiet_seconds=safeguard.quiet_seconds)
