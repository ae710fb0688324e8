"""What a widget has to know of the kernel that it lives in."""

from __future__ import annotations

import asyncio
import os

from ipywidgets import Widget
from ipywidgets.comm import get_comm_manager

from .studio.runner import NO_CELL, Cell, stop_on_interrupt


def live() -> bool:
    """Whether a person can be at the other end: JupyterLab and Voilà say so; MTLNAS_LAB_LIVE = 0 or 1 decides otherwise."""
    asked = os.environ.get("MTLNAS_LAB_LIVE")
    if asked is not None:
        return asked not in ("", "0")
    if "JPY_SESSION_NAME" in os.environ:
        return True
    return any(name.startswith("VOILA_") for name in os.environ)


def running_cell() -> Cell:
    """Which cell is being run, and which time, as JupyterLab says it; NO_CELL elsewhere."""
    try:
        from IPython import get_ipython

        parent = get_ipython().parent_header
        return Cell(parent["metadata"]["cellId"], parent["header"]["msg_id"])
    except (ImportError, AttributeError, KeyError, TypeError):
        return NO_CELL


def deliver_directly(comm) -> None:
    """Hand the messages of a page to their widget and to nobody else, wherever the page sends them.

    ipykernel 7.4 has the shell that wrote to a page last answer that page, and drops the message when that shell is
    gone, as after a reload. Our handlers may run in any thread: so a message is taken where it comes in.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default
    _is_no_cell(comm)


def hear_all(widget) -> None:
    """The same for a plain ipywidget and all that it is made of."""
    for part in (widget, getattr(widget, "layout", None), getattr(widget, "style", None)):
        _is_no_cell(getattr(part, "comm", None))
    for child in getattr(widget, "children", ()):
        hear_all(child)


def _is_no_cell(comm) -> None:
    """A message of a page is not the end of a cell.

    A comm tells IPython of every message that it comes to as if a cell had been run: `post_execute`. There matplotlib's
    inline backend sends off and closes all that pyplot holds, in the thread of the message: also the figure that a cell
    is drawing in another thread. So our comms hand a message to their widget and to nobody else.
    """
    if not hasattr(comm, "_msg_callback"):
        return

    def handle(message) -> None:
        if comm._msg_callback:
            comm._msg_callback(message)

    comm.handle_msg = handle


def _no_cell_by_a_page() -> None:
    """A page that is opened or reloaded asks for the state of all widgets through a comm of its own."""

    def opened(comm, message) -> None:
        Widget.handle_control_comm_opened(comm, message)
        _is_no_cell(comm)

    _is_no_cell(Widget._control_comm)
    manager = get_comm_manager()
    if manager:
        manager.register_target("jupyter.widget.control", opened)


def loop_between_cells() -> asyncio.AbstractEventLoop | None:
    """The loop of the thread that runs cells; None where there is none.

    Once the cell is over (in cells the kernel has a handler of its own), its stop button reaches the searches.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    loop.call_later(0.2, stop_on_interrupt)
    return loop


_no_cell_by_a_page()
