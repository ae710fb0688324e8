"""Which precision is faster here: three steps of each, on a copy, before a search begins."""

from __future__ import annotations

from dataclasses import replace

from .lab import Lab
from .search import Search, SearchConfig
from .together import ALONE, Alone

WORTH = 1.15  # bf16 changes the numbers, so it must be clearly faster


def calibrate(
    lab: Lab, config: SearchConfig, steps: int = 3, together: Alone = ALONE
) -> tuple[SearchConfig, dict[str, float]]:
    """(the settings with the precision decided, {precision: seconds a step}). The lab stays as it is."""
    seconds = {}
    for precision in ("float32", "bf16"):
        trial = Search(
            lab.copy(),
            replace(config, precision=precision, compile="", evaluate_every=0),
            together=together,
        )
        trial.attempt()  # the first one allocates
        seconds[precision] = min(
            trial.attempt().seconds for _ in range(steps)
        )  # its report waits for the device
    chosen = "bf16" if seconds["bf16"] * WORTH <= seconds["float32"] else "float32"
    return replace(config, precision=chosen), seconds
