"""Checks a value where it enters: its type, its range, and one line that says what would be right."""

from __future__ import annotations

import numbers
import reprlib
from collections.abc import Sequence

from .errors import ConfigError, MTLNASError
from .one_line import printable

MOST = 10**12  # of what is counted: steps, images


LARGEST = 1e9  # of λ, rates and factors: float32 can square the gradients that come of it


def told(value: object) -> str:
    """A short text of any value on one line, whatever it is."""
    try:
        text = " ".join(reprlib.repr(value).split())
    except Exception:  # the value's own repr fails, as that of an integer of 5,000 digits does
        return f"a value of type {type(value).__name__}"
    return printable(text)


def number(
    name: str,
    value: object,
    least: float = 0.0,
    most: float = LARGEST,
    error: type[MTLNASError] = ConfigError,
) -> float:
    """`value` as a float from `least` to `most`. Raises `error` for everything else, NaN and booleans included."""
    if isinstance(value, numbers.Real) and not _is_flag(value) and least <= value <= most:
        return float(value)
    raise error(
        f"{name} = {told(value)} is too small, too large or not a number; "
        f"give a finite number from {least:g} up, at most {most:g}"
    )


def pair(name: str, value: object, most: float = LARGEST) -> tuple[float, float]:
    """`value` as two floats from 0 to `most`. Raises ConfigError."""
    try:
        first, second = value
    except (TypeError, ValueError):
        raise ConfigError(f"{name} = {told(value)}: give two numbers, as in (0.3, 1.0)") from None
    return number(name, first, most=most), number(name, second, most=most)


def whole(
    name: str,
    value: object,
    least: int = 0,
    most: int = MOST,
    error: type[MTLNASError] = ConfigError,
) -> int:
    """`value` as an int from `least` to `most`; 500.0 and a NumPy integer count as whole. Raises `error`."""
    counts = isinstance(value, numbers.Real) and not _is_flag(value) and least <= value <= most
    if counts and value == int(value):
        return int(value)
    raise error(
        f"{name} = {told(value)} is too small, too large or not a whole number; "
        f"give {least} or more, at most {most}"
    )


def flag(name: str, value: object, error: type[MTLNASError] = ConfigError) -> bool:
    """`value` as True or False; 0 and 1 count. Raises `error`."""
    if _is_flag(value) or (isinstance(value, numbers.Real) and value in (0, 1)):
        return bool(value)
    raise error(f"{name} = {told(value)}: give True or False")


def choice(name: str, value: object, choices: Sequence[str]) -> str:
    """`value`, one of the choices. Raises ConfigError."""
    if isinstance(value, str) and value in choices:
        return value
    raise ConfigError(f"{name} = {told(value)} is none of the choices {', '.join(choices)}")


def _is_flag(value: object) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")  # NumPy's, too


# What a network with a view sees, as the object of a sentence.
WORDS = {
    "image": "the image",
    "grey": "a grey image",
    "blurred": "a blurred image",
    "masked": "parts of the image",
    "noisy": "the image under noise",
    "depth": "depth",
    "depth_colours": "depth in colours",
    "normals": "the map of normals",
    "edges": "the map of edges",
}
