"""Opens the files of somebody else's data: regular ones, of known formats, of a size that is checked before it is read.

Whatever is wrong with a file is a DataError of one line that names it. Nothing in a file can start a process, make the
reader wait, or make it allocate more than the limits below.
"""

from __future__ import annotations

import fnmatch
import functools
import math
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import DataError
from ..one_line import printable, shown

# Pillow knows some forty formats. One of them runs Ghostscript, others are plain rare.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM", "GIF")


PIXELS = 40_000_000  # of one picture, say 7700 × 5200; below the 89 million at which Pillow warns


ARRAY_BYTES = 1 << 28  # of one .npy file


TEXT_BYTES = 1 << 24  # of a list of files, or a file of JSON


PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".ppm", ".pgm", ".gif"}


OTHER_PICTURES = {".eps", ".ps", ".pdf", ".svg", ".jp2", ".avif", ".heic", ".exr", ".dds", ".tga"}


# Python 3.11 may fail to parse in two threads at once, and threads read.
_PARSING = threading.Lock()


JUNK = {
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "__macosx",
    "@eadir",
    "$recycle.bin",
    "lost+found",
}  # what systems and programs leave in folders; hidden files are junk, too


def is_junk(path: Path) -> bool:
    """Whether a file or folder is of those that systems leave behind: .DS_Store, ._a.png, Thumbs.db, __MACOSX."""
    return path.name.startswith(".") or path.name.casefold() in JUNK


def inside(root: Path, path: Path, where: str = "") -> Path:
    """`path` as it is, if it lies in the folder `root` also behind all links. Raises DataError, which names `where`."""
    place = shown(path)
    if where:
        place = f"{where}: {place}"
    try:
        good = path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, links in a circle
        raise DataError(f"{place} is not the name of a file ({reason(error)})") from None
    if not good:
        raise DataError(
            f"{place} leads out of the data folder {shown(root)}; only files in it are opened, "
            "so put a copy there"
        )
    return path


def reason(error: Exception) -> str:
    """What an exception says, in one short line."""
    text = " ".join((getattr(error, "strerror", None) or str(error)).split())
    return f"{type(error).__name__}: {printable(text[:100])}"


@functools.cache
def say_once(line: str) -> None:
    """Something that a user should know of their data, on stderr; each line once in a process."""
    print(line, file=sys.stderr)


@contextmanager
def parsing(
    path: str | Path, problem: str = "cannot be read, cut off or of another kind"
) -> Iterator[None]:
    """Makes a DataError of all that can go wrong with somebody's file; readers raise many kinds of errors."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{shown(path)}: cannot be read, there is no such file") from None
    except Exception as error:
        raise DataError(f"{shown(path)}: {problem} ({reason(error)})") from error


def open_regular(path: str | Path) -> BinaryIO:
    """A regular file, opened to be read. A pipe, a device or a folder, also one behind a link, is a DataError, at once."""
    with parsing(path):
        # A pipe would else wait for a writer. Not every system has all of these.
        flags = (getattr(os, name, 0) for name in ("O_NONBLOCK", "O_BINARY", "O_NOCTTY"))
        descriptor = os.open(path, sum(flags, os.O_RDONLY))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise DataError(
                f"{shown(path)}: is not a regular file, but a folder, a pipe or a device"
            )
        return os.fdopen(descriptor, "rb")


def read_text(path: Path) -> str:
    """The text of a file of at most TEXT_BYTES in UTF-8."""
    with open_regular(path) as stream, parsing(path):
        size = os.fstat(stream.fileno()).st_size
        if size > TEXT_BYTES:
            raise DataError(
                f"{shown(path)}: has {size} bytes, but a text of at most {TEXT_BYTES} is expected there"
            )
        return stream.read(size).decode("utf-8-sig")  # editors of some systems begin with a mark


def use_picture(path: Path, use: Callable[[Any], Any]) -> Any:
    """What `use` makes of a picture as Pillow opens it: one of FORMATS, of at most PIXELS."""
    from PIL import Image, UnidentifiedImageError

    with open_regular(path) as stream, parsing(path):
        try:
            picture = Image.open(stream, formats=FORMATS)
        except UnidentifiedImageError:
            raise DataError(
                f"{shown(path)}: cannot be read, cut off or of another kind; a picture is one of {', '.join(FORMATS)}"
            ) from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise DataError(
                f"{shown(path)}: has more than {PIXELS} pixels, too many to decode ({reason(error)})"
            ) from None
        with picture:  # its size is known by now, and nothing is decoded
            if math.prod(picture.size) > PIXELS:
                raise DataError(
                    f"{shown(path)}: has {picture.width} × {picture.height} pixels; at most {PIXELS} are decoded"
                )
            return use(picture)


def array_header(stream: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, whether columns come first, type) of an .npy file, of which no more than the header is read.

    Raises DataError for Python objects, for more than ARRAY_BYTES, and for a file that is shorter than its header says.
    """
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise DataError(f"{shown(path)}: cannot be read, an .npy file of version {version}")
    with _PARSING:
        shape, columns_first, dtype = readers[version](stream)
    if dtype.hasobject:
        raise DataError(f"{shown(path)}: cannot be read, for it holds Python objects")
    size = math.prod(shape) * dtype.itemsize
    if size > ARRAY_BYTES:
        raise DataError(
            f"{shown(path)}: is {dtype} of shape {shape}, {size} bytes; at most {ARRAY_BYTES} are read"
        )
    if size > os.fstat(stream.fileno()).st_size:
        raise DataError(f"{shown(path)}: cannot be read, cut off: shorter than its header says")
    return shape, columns_first, dtype


def array_shape(path: Path) -> tuple[int, ...]:
    """The shape of an .npy file, by its header."""
    with open_regular(path) as stream, parsing(path):
        return array_header(stream, path)[0]


def read_array(path: Path) -> np.ndarray:
    """The numbers of an .npy file."""
    with open_regular(path) as stream, parsing(path):
        shape, columns_first, dtype = array_header(stream, path)
        # np.load would look at the header again, and might unpickle what it finds.
        numbers = np.fromfile(stream, dtype, math.prod(shape))
        if columns_first:
            return numbers.reshape(shape, order="F")
        return numbers.reshape(shape)


def files_below(folder: Path, pattern: str = "*") -> list[Path]:
    """Files below a folder whose names fit the pattern, sorted; without junk and what lies in folders that are junk."""
    found = []
    for place, folders, names in os.walk(folder):
        # os.walk goes on into what is left in this very list.
        folders[:] = [name for name in folders if not is_junk(Path(name))]
        for name in names:
            if fnmatch.fnmatchcase(name, pattern) and not is_junk(Path(name)):
                found.append(Path(place, name))
    return sorted(found)
