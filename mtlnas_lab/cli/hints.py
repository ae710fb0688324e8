"""Which flags would mend a mistake: the library names settings in an error's `hint`, the command line its flags."""

from __future__ import annotations


def flags_of_hints(error: BaseException) -> str:
    """What to add to an error's line; "" where it has no hint.

    Example:
        >>> from mtlnas_lab.errors import RunError
        >>> flags_of_hints(RunError("the loss is not finite", hint="resume, weight_lr=3e-4"))
        ' (--resume --weight-lr 3e-4)'
    """
    flags = []
    for part in getattr(error, "hint", "").split(","):
        setting, _, value = part.strip().partition("=")
        if setting:
            flags.append(f"--{setting.replace('_', '-')} {value}".rstrip())
    if not flags:
        return ""
    return f" ({' '.join(flags)})"
