"""Files that are written whole or not at all, opened only where they are plain, and locked by one writer."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import RunError
from ..one_line import os_errors_as

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


FULL = "make room and resume the run"

CLOSED = "choose a folder that you may write to"


ADVICE = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: FULL,
    errno.EACCES: CLOSED,
    errno.EROFS: CLOSED,
    errno.ENOENT: "is this a whole run folder, and still there?",
}

# The setting that a piece of advice speaks of; the command line adds its flag.
HINTS = {FULL: "resume", CLOSED: "out"}


# --- files ------------------------------------------------------------------------------------------------------------
@contextmanager
def os_errors_as_run_errors(path: str | os.PathLike) -> Iterator[None]:
    """Makes the system's errors RunErrors that say where and what to do."""
    with os_errors_as(RunError, path, ADVICE, hints=HINTS):
        yield


def open_plain(path: str | os.PathLike, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a regular file. Links, pipes and devices are refused with RunError; a pipe does not block."""
    if os.path.islink(path):
        raise RunError(f"{path} is a link; a run folder holds plain files")
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # each system has some of them
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RunError(f"{path} is not a plain file")
    return descriptor


def read(path: str | os.PathLike, limit: int) -> bytes:
    """The bytes of a plain file. Raises RunError, before reading, for one that is missing or larger than the limit."""
    with os_errors_as_run_errors(path), os.fdopen(open_plain(path), "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise RunError(f"{path} has {size} bytes; at most {limit} are expected there")
        return stream.read(size)


def replace(path: Path, data: bytes) -> None:
    """Puts a file in place as a whole or not at all, and safe from a power failure. Raises RunError."""
    new = f"{path}.tmp"
    with os_errors_as_run_errors(path):
        with suppress(FileNotFoundError):
            os.unlink(new)
        try:
            descriptor = open_plain(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(new, path)
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                os.unlink(new)
            raise


def sync_folder(path: Path) -> None:
    """Makes the names in a folder safe from a power failure, where the system lets folders be opened (not Windows)."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def take_lock(path: Path) -> int:
    """A descriptor that holds the lock of `path` until it is closed or this process ends, however it ends.

    Raises RunError while another process has it, and on file systems that have no locks.
    """
    with os_errors_as_run_errors(path):
        descriptor = open_plain(path, os.O_RDWR | os.O_CREAT)
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            os.lseek(
                descriptor, 2**30, os.SEEK_SET
            )  # a byte far behind the text, which stays readable
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        with suppress(OSError):  # the name is a courtesy
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{socket.gethostname()} {os.getpid()}".encode())
        return descriptor
    except OSError as error:
        os.close(descriptor)
        if not isinstance(error, (BlockingIOError, PermissionError)):
            raise RunError(
                f"{path} can't be locked ({error.strerror}), so two processes might write to the run; "
                "choose a folder on another disk",
                hint="out",
            ) from None
    holder = "".join(filter(str.isprintable, read(path, 1_000).decode(errors="replace")))
    raise RunError(
        f"{path.parent}: run is being written by {holder or 'another process'}; "
        "wait for it, stop it, or only look at the run"
    )
