"""A log as the bytes that the canvas draws. Pure functions of data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...runs.event_log import EventLog

VERSION = 1

# What a slider can turn, and before it what only a step says.
SLIDERS = ("entropy_weight", "temperature", "l1_weight", "alpha_lr")
COLUMNS = ("step", "entropy", *SLIDERS)

# How many values of σ(α) a frame holds, and how many values of α the steps behind it before a new one is due.
LIVE = 7_000  # ten times a second
RECORDED = 60_000  # once
TAIL = 1_750

MOST_ROWS = 600  # a canvas is not wider
FEWEST_ROWS = 32  # also where there are so many edges that these are more than the values

HALF = 32_767  # the largest code of an edge that is not open


def rows(steps: int, edges: int, values: int) -> np.ndarray:
    """(N,) which of so many steps are shown: every 2^k-th and the last, so that they rarely change while steps come."""
    most = min(max(values // max(edges, 1), FEWEST_ROWS), MOST_ROWS)
    stride = 1
    while steps > most * stride:
        stride *= 2
    picked = np.arange(stride - 1, steps, stride)
    if len(picked) and picked[-1] == steps - 1:
        return picked
    return np.append(picked, steps - 1)


def frame(log: EventLog, values: int = LIVE) -> bytes:
    """The history in little-endian binary; b"" before the first step. N rows, E edges, T tasks, C = 6 columns.

    float32 [8]: version, N, E, T, C, largest |gradient|, steps, which of them have a row (every so many) · float32
    [C + T][N]: COLUMNS, then the losses, mean over the steps of a row · float32 [2][E]: α and ∂ losses/∂α of the last
    step · uint16 [N][E]: `codes` of α · int8 [N][E]: ± sqrt(|gradient| / largest)·127
    """
    if not log.steps:
        return b""
    # α first: another thread may append while this one reads, so all that is read later is cut to as many steps.
    alpha = log.alpha
    steps, edges = alpha.shape
    gradient = log.alpha_grad[:steps]
    losses = [loss[:steps] for loss in log.loss.values()]
    picked = rows(steps, edges, values)
    every = picked[0] + 1
    if every > 1 and log.column("step")[0] == 0:  # a replay begins where the search began
        picked = np.append(0, picked)
    columns = [log.column(name)[picked] for name in COLUMNS]
    columns += [_means(loss, picked) for loss in losses]

    with np.errstate(all="ignore"):  # a file may hold any number
        gradient_codes, largest = _gradient_codes(gradient[picked])
        head = (VERSION, len(picked), edges, len(losses), len(COLUMNS), largest, steps, every)
        parts = (
            np.array(head, "<f4"),
            np.array(columns, "<f4"),
            alpha[-1].astype("<f4"),
            gradient[-1].astype("<f4"),
            codes(alpha[picked]),
            gradient_codes,
        )
    return b"".join(part.tobytes() for part in parts)


def codes(alpha: np.ndarray) -> np.ndarray:
    """σ(α)·65535 as uint16, above the half exactly where α > 0: a page counts open edges as an architecture does."""
    gates = 0.5 * (1 + np.tanh(alpha / 2))  # σ(α), without an exponential that overflows
    code = np.nan_to_num(gates * 65535).round()
    shut = np.minimum(code, HALF)  # α = 0 would be rounded up
    return np.where(alpha > 0, np.maximum(code, HALF + 1), shut).astype("<u2")


def _gradient_codes(gradient: np.ndarray) -> tuple[np.ndarray, float]:
    """(int8 of the gradient's shape, the largest |gradient|). The square root leaves something of the small ones."""
    finite = np.nan_to_num(gradient, posinf=0, neginf=0)
    size = np.abs(finite)
    largest = float(size.max(initial=0)) or 1.0
    share = np.sign(finite) * np.sqrt(size / largest)
    return (share * 127).round().astype("i1"), largest


def tail(log: EventLog, first: int) -> bytes:
    """The steps behind the first ones, for a page that has the frame of those: float32 [n][8 + T + 2E] (EventLog.table).

    Often, and beside a search that waits for the interpreter meanwhile: so there is nothing here but a copy.
    """
    with np.errstate(all="ignore"):
        return log.table[first:].astype("<f4").tobytes()


def _means(values: np.ndarray, last: Sequence[int]) -> np.ndarray:
    """Mean of the finite values of each part; NaN where there is none. last: where each part ends."""
    starts = np.append(0, np.asarray(last)[:-1] + 1)
    finite = np.isfinite(values)
    sums = np.add.reduceat(np.where(finite, values, 0), starts)
    counts = np.add.reduceat(finite, starts, dtype=float)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
