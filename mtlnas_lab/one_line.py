"""Foreign text and errors on one line: what a terminal or a log can show safely."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .errors import MTLNASError

# kinds of characters that a terminal acts on, or cannot show
OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: object) -> str:
    """The text on one line; what a terminal would obey (colours, titles, new lines, directions) is shown as \\x1b, \\n, \\u202e."""
    shown = ""
    for character in str(text):
        if unicodedata.category(character) in OBEYED:
            character = character.encode("unicode_escape").decode()
        shown += character
    return shown


def shown(text: object, most: int = 200) -> str:
    """A name that somebody else gave, printable, and without its middle where it has more than `most` characters.

    >>> shown("a" * 300, most=9)
    'aaaa…aaaa'
    """
    text = str(text)
    if len(text) > most:
        half = (most - 1) // 2  # both ends tell paths apart
        text = f"{text[:half]}…{text[-half:]}"
    return printable(text)


def listed(names: Iterable[object], most: int = 12) -> str:
    """Names that somebody else gave, short and on one line: the first `most`, and how many there are in all.

    >>> listed(["wall", "floor", "bed"], most=2)
    'wall, floor, … (3 in all)'
    """
    names = list(names)
    first = [shown(name, 60) for name in names[:most]]
    if len(names) > most:
        first.append(f"… ({len(names):,} in all)")
    return ", ".join(first) or "none"


@contextmanager
def os_errors_as(
    kind: type[MTLNASError],
    path: str | Path,
    advice: Mapping[int, str] | None = None,
    otherwise: str = "",
    hints: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Makes what the system says of a path an error of our own: "PATH: what is wrong; what to do about it".

    advice: {errno: what to do}; otherwise: what to do about all else; hints: {what to do: setting}.

    >>> from mtlnas_lab.errors import DataError
    >>> with os_errors_as(DataError, "gone.npz", otherwise="name a file that is there"):
    ...     raise FileNotFoundError(2, "No such file or directory")
    Traceback (most recent call last):
    mtlnas_lab.errors.DataError: gone.npz: No such file or directory; name a file that is there
    """
    try:
        yield
    except MTLNASError:
        raise
    except (OSError, ValueError) as error:
        if not _of_the_system(error):
            raise  # a fault of ours is not the file's
        line = f"{shown(path)}: {getattr(error, 'strerror', None) or error}"
        cure = (advice or {}).get(getattr(error, "errno", None), otherwise)
        if cure:
            line += f"; {cure}"
        raise kind(line, hint=(hints or {}).get(cure, "")) from None


def _of_the_system(error: OSError | ValueError) -> bool:
    """Whether the system said it: an OSError, or a ValueError about a path that no system can have."""
    if isinstance(error, OSError | UnicodeEncodeError):
        return True
    said = str(error).lower()
    return "nul" in said  # a path with a NUL: embedded null byte, embedded null character


LONGEST = 4000  # characters of an error's line


OUT_OF_MEMORY = ("can't allocate memory", "out of memory")  # as PyTorch says it


USERS = (MTLNASError, OSError, MemoryError, UnicodeError, RecursionError)  # not faults of the lab


def mistake(error: BaseException) -> str:
    """What an error means to a user, in one line: where it is, what it is, and that it is not theirs where it is not."""
    text = printable(error)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 300]} … {text[-300:]}"
    if isinstance(error, MTLNASError):
        return text
    if isinstance(error, OSError):
        reason = error.strerror or text
        names = [printable(name) for name in (error.filename, error.filename2) if name is not None]
        if not names:
            return reason
        return f"{' and '.join(names)}: {reason}"
    if isinstance(error, MemoryError) or any(sign in text for sign in OUT_OF_MEMORY):
        return "memory is too short for this; give smaller images, smaller batches, or a machine with more"
    if isinstance(error, UnicodeError):
        return f"text that is not in the encoding it should have ({text})"
    if isinstance(error, RecursionError):
        return f"what was given is nested too deeply ({text})"
    first = printable((str(error).strip().splitlines() or ["no reason given"])[0])
    return (
        f"{type(error).__name__}: {first[:LONGEST]}; this is a fault of the lab, please report it; "
        "MTLNAS_LAB_TRACEBACK=1 shows where"
    )
