"""Where a command writes: looked at before its work begins, so that an hour of it is not lost at the end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import ConfigError

LONG = 255  # bytes of a name, on the file systems that there are


def writable(folder: Path) -> Path:
    """The folder, if files can be put into it; it may not be there yet, nor what it is to lie in. Raises ConfigError."""
    place = Path(folder)
    _fitting(place)
    while not _there(place):  # the nearest folder that exists decides whether others can be made
        place = place.parent
    if not stat.S_ISDIR(os.stat(place).st_mode):
        raise ConfigError(f"{place} is a file; give a folder to write into, or another name")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"{place} cannot be written to; give another place", hint="out")
    return folder


def writable_file(path: Path) -> Path:
    """The file's path, if it can be written: its folder is there, and no folder has its name. Raises ConfigError."""
    _fitting(path)
    if not _there(path.parent):
        raise ConfigError(f"there is no folder {path.parent} to write {path.name} into")
    if _there(path) and stat.S_ISDIR(os.stat(path).st_mode):
        raise ConfigError(f"{path} is a folder; give the name of a file")
    if _there(path) and not os.access(path, os.W_OK):
        raise ConfigError(f"{path} is there, and cannot be written to; give another name")
    writable(path.parent)
    return path


def _there(place: Path) -> bool:
    """Whether there is something at a path. Raises ConfigError where nothing can ever be."""
    try:
        os.stat(place)
        return True
    except FileNotFoundError:
        if place.is_symlink():
            raise ConfigError(f"{place} is a link to what is not there") from None
        return False
    except NotADirectoryError:  # what it lies in is a file, and will be told
        return False
    except OSError as error:
        raise ConfigError(f"{place}: {error.strerror}; give another place") from None


def _fitting(path: Path) -> None:
    for part in path.parts:
        if len(os.fsencode(part)) > LONG:  # bytes, of which a letter has up to four
            raise ConfigError(f"a name of {len(part)} letters is too long for a file: {part[:40]}…")
        if "\0" in part:
            raise ConfigError(f"{path} cannot be the name of a file")
