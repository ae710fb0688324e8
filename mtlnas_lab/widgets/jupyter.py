"""What a widget has to know of the kernel that it lives in."""

from __future__ import annotations

import asyncio
import os

from ipywidgets import Widget
from ipywidgets.comm import get_comm_manager

from .studio.runner import stop_on_interrupt


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
    _end_no_cell(comm)


def _end_no_cell(comm) -> None:
    """A message of a page is not the end of a cell.

    A comm tells IPython of every message that it comes to as if a cell had been run: `post_execute`. There matplotlib's
    inline backend sends off and closes all that pyplot holds, in the thread of the message: also the figure that a cell
    is drawing in another thread. So our comms hand a message to their widget and to nobody else.
    """
    if hasattr(comm, "_msg_callback"):
        comm.handle_msg = lambda message: comm._msg_callback and comm._msg_callback(message)


def hear_all(widget) -> None:
    """The same for a plain ipywidget and all that it is made of."""
    for one in (widget, getattr(widget, "layout", None), getattr(widget, "style", None)):
        _end_no_cell(getattr(one, "comm", None))
    for child in getattr(widget, "children", ()):
        hear_all(child)


def _end_no_cell_by_a_page() -> None:
    """A page that is opened or reloaded asks for the state of all widgets through a comm of its own."""

    def opened(comm, message) -> None:
        Widget.handle_control_comm_opened(comm, message)
        _end_no_cell(comm)

    _end_no_cell(Widget._control_comm)
    if manager := get_comm_manager():
        manager.register_target("jupyter.widget.control", opened)


def _interruptible() -> asyncio.AbstractEventLoop | None:
    """Once the cell is over (the kernel has its own handler in cells), let the kernel's stop button reach the search.
    Gives the loop that runs between cells; None where there is none."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    loop.call_later(0.2, stop_on_interrupt)
    return loop


_end_no_cell_by_a_page()
