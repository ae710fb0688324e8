"""What all curves and tables share: a function of a source that draws on axes, and a figure that can be drawn again."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import wraps
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from ..errors import ConfigError, MTLNASError
from .graph.figure import check_title
from .origin import remember
from .provenance import provenance
from .sources import opened
from .style import (
    BOLD,
    MM,
    MOST_ENTRIES,
    PT,
    WIDEST,
    FigureStyle,
    brief,
    drawable,
    find_fonts,
    in_range,
    note,
    noting,
    shorten,
    text_width,
    warn_of_boxes,
)
from .style import style as style_named

HUGE = 1e100  # a number above that is neither a loss nor a score, and matplotlib can't draw it


# The gaps of a legend, in sizes of its letters.
TIGHT = {"columnspacing": 1.2, "handletextpad": 0.5, "borderaxespad": 0, "borderpad": 0}


class Kind(NamedTuple):
    """One kind of curve."""

    draw: Callable  # draw(data, ax, style, …) -> how many mm its legend is high
    check: Callable  # check(data) raises for what is not its data, as a file may hold it


KINDS: dict[str, Kind] = {}  # by the name of the function without plot_, as `axes_level` adds them


@dataclass(frozen=True)
class CurveFigure:
    """A curve or a table and how it should look; `plot()` draws it. What `refigure` finds in a file of one."""

    curve: str  # its function without plot_, such as 'entropy'
    data: Mapping  # the plain numbers and names it is drawn from
    style: FigureStyle | str = "paper-single"
    height: float | None = None  # mm
    options: Mapping = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "style", style_named(self.style))
        if not isinstance(self.curve, str) or self.curve not in KINDS:
            raise ConfigError(
                f"there is no curve {brief(self.curve)}; there are {', '.join(KINDS)}"
            )
        if self.height is not None:
            in_range("the height is", self.height, 1, WIDEST, "mm")
        _check_options(self.curve, self.options)

    def plot(self, ax=None):
        """Draw on `ax`, or on a new figure, of which `save_figure` knows what it shows. Returns the axes.

        A new figure without a height grows with its legend. Warns of characters that no font of this machine has.
        """
        new = ax is None
        with noting() as notes:
            find_fonts(_texts([self.data, self.options]))
            with self.style.context():
                if new:
                    ax = self._new_axes()
                above = KINDS[self.curve].draw(self.data, ax, self.style, **self.options)
        if new:
            if self.height is None and above:
                self._make_room(ax, above)
            remember(ax.figure, spec=self, notes=tuple(notes.lines()))
        warn_of_boxes(notes)
        return ax

    def _new_axes(self):
        least = 2.8 * self.style.font  # mm for each point of the font: room for labels and a curve
        if self.style.width < least:
            raise ConfigError(
                f"{self.style.width:g} mm is not wide enough for a curve at {self.style.font:g} pt; give "
                f"{least:.0f} mm"
            )
        height = self.height or default_height(self.curve, self.data, self.style)
        return self.style.figure(height, layout="constrained").add_subplot()

    def _make_room(self, ax, above: float) -> None:
        """Makes the figure higher by what its legend takes beyond the usual (mm), so that the curve stays as it is."""
        usual = 0 if is_narrow(ax, self.style) else 3.5 * 1.5 * self.style.small * PT
        width, height = ax.figure.get_size_inches()
        ax.figure.set_size_inches(width, height + max(above - usual, 0) / MM)

    def to_json(self) -> dict:
        """Plain data, of which `from_json` makes the same figure again."""
        record = {field.name: getattr(self, field.name) for field in fields(self)}
        record["style"] = asdict(self.style)
        return record

    @classmethod
    def from_json(cls, data: Mapping) -> CurveFigure:
        """A figure of what `to_json` made of one. Raises ConfigError for anything else."""
        try:
            made = cls(**{**data, "style": FigureStyle.from_json(data["style"])})
            KINDS[made.curve].check(made.data)
            return made
        except MTLNASError as error:
            raise ConfigError(f"this describes no curve: {error}") from None
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise ConfigError(f"this describes no curve: {brief(error)}") from None


def default_height(curve: str, data, look: FigureStyle) -> float | None:
    """mm of a new figure; None for the golden section of its width."""
    if curve == "heatmap" and len(data["depth"]) > 2:
        return 0.86 * look.width  # the blocks of three tasks or more make a square
    return None


def _texts(value) -> Iterator[str]:
    """All texts in plain data, the first letters of long ones."""
    if isinstance(value, str):
        yield value[:1000]
    elif isinstance(value, Mapping):
        yield from (key[:1000] for key in value if isinstance(key, str))
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, (list, tuple)) and value and not isinstance(value[0], (int, float)):
        for part in value:  # a list of numbers, as most of the data are, is not looked through
            yield from _texts(part)


OPTIONS = {
    "title": (str, "a text"),
    "task": (str, "a text"),
    "metric": (str, "a text"),
    "weight": (bool, "True or False"),
    "colorbar": (bool, "True or False"),
    "window": (int, "a whole number above 0"),
}


def _check_options(curve: str, options) -> None:
    """Raises ConfigError for an option that the curve does not have, or a value it can't take."""
    own = set(inspect.signature(KINDS[curve].draw).parameters) - {"data", "ax", "look"}
    unknown = set(options) - own if isinstance(options, Mapping) else {brief(options)}
    if unknown:
        raise ConfigError(
            f"{curve} has no option {brief(min(map(str, unknown)))}; there are {', '.join(sorted(own))}"
        )
    check_title(options.get("title"))
    for name, value in options.items():
        kind, words = OPTIONS[name]
        if value is None and kind is not bool:
            continue
        good = type(value) is kind and (kind is not int or value > 0)
        if not good:
            raise ConfigError(f"{name}={brief(value)} of {curve}; give {words}")


def axes_level(take: Callable, check: Callable) -> Callable:
    """draw(data, ax, style, …) becomes plot(source, *, ax=None, style="paper-single", height=None (mm), …) -> Axes.

    take(source, …) makes the data: plain numbers and names. What it takes and what `draw` takes are the options.
    check(data) raises for what is no such data, as a file may hold it. draw returns how many mm its legend is high.
    """
    taken = list(inspect.signature(take).parameters.values())[1:]

    def decorate(draw: Callable) -> Callable:
        name = draw.__name__.removeprefix("plot_")
        KINDS[name] = Kind(draw, check)

        @wraps(draw)
        def plot(
            source,
            *,
            ax=None,
            style: str | FigureStyle = "paper-single",
            height: float | None = None,
            **options,
        ):
            source = opened(source)
            asked = {one.name: options.pop(one.name) for one in taken if one.name in options}
            data = take(source, **asked)
            drawn = CurveFigure(name, data, style, height, options).plot(ax)
            if ax is None:
                remember(drawn.figure, provenance=provenance(source))
            return drawn

        # help() and completion show the options by name, and not **options.
        first, *shared, _ = inspect.signature(plot, follow_wrapped=False).parameters.values()
        own = []
        for parameter in [*taken, *inspect.signature(draw).parameters.values()]:
            if parameter.name not in ("data", "ax", "look"):
                own.append(parameter.replace(kind=parameter.KEYWORD_ONLY))
        plot.__signature__ = inspect.Signature([first, *shared, *own])
        return plot

    return decorate


def numbers(values, digits: int = 10) -> list:
    """Plain numbers for JSON, of so many digits that count; None for what is not finite (or above 10¹⁰⁰)."""
    found: list[float | None] = []
    for value in np.asarray(values, float).tolist():
        if abs(value) < HUGE:
            found.append(float(f"{value:.{digits}g}"))
        else:
            found.append(None)
    return found


# --- legends and titles -----------------------------------------------------------------------------------------------
def size_of(ax) -> tuple[float, float]:
    """Width and height of axes in mm, before constrained layout moves them."""
    box = ax.get_window_extent()
    return box.width / ax.figure.dpi * MM, box.height / ax.figure.dpi * MM


def is_narrow(ax, look) -> bool:
    """Whether the axes are all of a page so narrow that nothing may stand beside a legend."""
    figure = ax.get_figure(root=False)
    alone = isinstance(figure, Figure) and len(figure.axes) <= 2
    return alone and ax.get_subplotspec() is not None and look.width < 9 * look.font


def legend_above(ax, look, handles, title=None, rise: float = 0, label: str = "") -> float:
    """The legend in rows above the axes, where it covers nothing (`rise` pt above them), and the title above that.

    Returns how many mm all of that is high. Labels that are wider than the page are cut; on a narrow page the legend
    takes its whole width, and `label`, that of the upright axis, stands on its top.
    """
    narrow = is_narrow(ax, look)
    rise = rise + 0.3 * look.small
    em = look.small * PT
    room = size_of(ax)[0]
    sample = 3.2 * em  # the line before a label, with the gaps around it
    if narrow:
        room = look.width - 0.6 * em
        sample = 3.0 * em
    handles = _listed(handles)
    labels = []
    for handle in handles:
        labels.append(shorten(str(handle.get_label()), look.small, max(room - sample, 1)))
    columns = _columns([text_width(text, look.small) + sample for text in labels], room)
    heading = label if narrow else ""
    _add_legend(ax, look, handles, labels, columns, rise, heading)

    rows = math.ceil(len(handles) / columns)
    if heading:
        rows += 1
    # The first rows with their gaps, and the others, which stand a little closer.
    high = rise + 1.5 * look.small * min(rows, 3) + 1.32 * look.small * max(rows - 3, 0)
    if not title:
        return high * PT
    if narrow:
        shown = drawable(shorten(title, look.font, room / BOLD))
        left = 0.3 * em / look.width
        bold = {"size": look.font, "weight": "bold"}
        ax.figure.suptitle(shown, x=left, ha="left", parse_math=False, **bold)
    else:
        place_title(ax, look, title, high + 0.4 * look.small)
    return (high + (0.4 * look.small + look.font)) * PT


def _columns(widths: list[float], room: float) -> int:
    """In how many columns entries of these widths (mm) stand beside each other; the legend fills them one by one."""
    columns = max(len(widths), 1)
    while columns > 1:
        needed = sum(max(column) for column in np.array_split(widths, columns))
        if needed <= room:
            break
        columns -= 1
    return columns


def _add_legend(ax, look, handles, labels, columns: int, rise: float, heading: str) -> None:
    """`heading`: what stands on its top; only on narrow pages, where the legend begins at the edge of the page."""
    narrow = is_narrow(ax, look)
    em = look.small * PT
    edge = ax.transAxes
    left = 0.0
    length = 1.4
    if narrow:
        edge = ax.figure.transFigure
        left = 0.3 * em / look.width
        length = 0.9
    place = blended_transform_factory(edge, ax.transAxes)
    raised = ScaledTranslation(0, rise / 72, ax.figure.dpi_scale_trans)
    more = {}
    if heading:
        line = ", ".join(heading.split("\n"))
        room = look.width - 0.6 * em
        more["title"] = drawable(shorten(line, look.small, room))
        more["title_fontsize"] = look.small
        more["alignment"] = "left"
    legend = ax.legend(
        handles=handles,
        labels=[drawable(text) for text in labels],
        loc="lower left",
        ncols=columns,
        labelcolor=look.ink,
        handlelength=length,
        bbox_to_anchor=(left, 1),
        bbox_transform=place + raised,
        **TIGHT,
        **more,
    )
    legend.get_title().set_parse_math(False)


def place_title(ax, look, title: str, pad: float) -> None:
    """A title in bold above the axes, cut to their width."""
    room = max(size_of(ax)[0], 1)
    ax.set_title(drawable(shorten(title, look.font, room / BOLD)), pad=pad, parse_math=False)


def _listed(handles: list) -> list:
    """The entries of a legend that are shown; of many the last says how many more there are."""
    if len(handles) <= MOST_ENTRIES:
        return handles
    rest = len(handles) - MOST_ENTRIES + 1
    note(f"the legend leaves {rest} entries out, for which there is no room")
    return [*handles[: MOST_ENTRIES - 1], text_entry(f"and {rest} more")]


def text_entry(text: str) -> Line2D:
    """An entry of a legend that is words only."""
    return Line2D([], [], linestyle="none", label=text)


def side_label(text: str, ax, look) -> str:
    """The label of an axis that stands upright, each of its lines cut to the height of the page."""
    room = ax.get_figure(root=False).bbox.height / ax.figure.dpi * MM
    lines = [shorten(line, look.font, 0.85 * room) for line in text.split("\n")]
    return "\n".join(map(drawable, lines))
