"""Foreign text and errors on one line: what a terminal or a log can show safely."""

from __future__ import annotations

import unicodedata

from .errors import MTLNASError

# kinds of characters that a terminal acts on, or cannot show
OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: object) -> str:
    """The text on one line; what a terminal would obey (colours, titles, new lines, directions) is shown as \\x1b, \\n, \\u202e."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in OBEYED else c
        for c in str(text)
    )


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
        return f"{' and '.join(names)}: {reason}" if names else reason
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
