"""What a widget has to know of the kernel that it lives in."""

from __future__ import annotations

import asyncio
import contextlib
import os

from .driver import stop_on_interrupt


def live() -> bool:
    """Whether a person can be at the other end: JupyterLab and Voilà say so; MTLNAS_LAB_LIVE = 0 or 1 decides otherwise."""
    asked = os.environ.get("MTLNAS_LAB_LIVE")
    if asked is not None:
        return asked not in ("", "0")
    return "JPY_SESSION_NAME" in os.environ or any(name.startswith("VOILA_") for name in os.environ)


def _cell() -> tuple[str | None, str | None]:
    """(which cell is being run, which time) as JupyterLab says it; (None, None) elsewhere."""
    try:
        from IPython import get_ipython

        parent = get_ipython().parent_header
        return parent["metadata"]["cellId"], parent["header"]["msg_id"]
    except (ImportError, AttributeError, KeyError, TypeError):
        return None, None


def _hear_always(comm) -> None:
    """ipykernel 7.4 has the shell that wrote to a page last answer that page, and drops the message when that shell is
    gone, as after a reload. Our handlers may run in any thread: take a message where the page sends it."""
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default


def _interruptible() -> None:
    """Once the cell is over (the kernel has its own handler in cells), let the kernel's stop button reach the search."""
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop().call_later(0.2, stop_on_interrupt)
