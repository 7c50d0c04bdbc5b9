"""Python's garbage collector, tamed for a process with thousands of long-lived objects."""

import gc

THRESHOLDS = (50_000, 20, 50)
"""After how many more objects the collector looks at the young ones, and after how many such looks at older ones."""


def tame_collector() -> None:
    """Keep what lives as long as the process out of the collector's sight, and let it look less often.

    With thousands of connections a look at everything stops the process for a third of a second. Reference counting
    frees nearly all without it; what it is for are cycles, which errors and tasks leave behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
