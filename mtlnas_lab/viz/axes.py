"""What all curves and tables share: a function of a source that draws on axes, and a figure that can be drawn again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import wraps

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from ..errors import ConfigError, MTLNASError
from .graph.figure import check_title
from .provenance import provenance
from .sources import opened
from .style import (
    MM,
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

DRAWN: dict[str, Callable] = {}  # what draws each kind of curve, by its name


CHECKS: dict[str, Callable] = {}  # what looks at the data of each kind, which may come from a file


BOLD = 1.12  # how much wider bold text is


HUGE = 1e100  # a number above that is no loss and no score, and matplotlib can't draw it


MOST_ENTRIES = 24  # of a legend


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
        if not isinstance(self.curve, str) or self.curve not in DRAWN:
            raise ConfigError(
                f"there is no curve {brief(self.curve)}; there are {', '.join(DRAWN)}"
            )
        if self.height is not None:
            in_range("the height is", self.height, 1, WIDEST, "mm")
        _check_options(self.curve, self.options)

    def plot(self, ax=None):
        """Draw on `ax`, or on a new figure, which remembers what it shows. Returns the axes.

        A new figure without a height grows with its legend. Warns of characters that no font of this machine has.
        """
        new = ax is None
        with noting() as notes:
            find_fonts(_texts([self.data, self.options]))
            with self.style.context():
                if new:
                    _must_fit(self.style)
                    height = self.height or default_height(self.curve, self.data, self.style)
                    ax = self.style.figure(height, layout="constrained").add_subplot()
                above = DRAWN[self.curve](self.data, ax, self.style, **self.options)
        if new:
            if self.height is None and above:
                usual = 0 if is_narrow(ax, self.style) else 3.5 * 1.5 * self.style.small * PT
                more = max(above - usual, 0)
                width, height = ax.figure.get_size_inches()
                ax.figure.set_size_inches(width, height + more / MM)
            ax.figure.lab_spec = self
            ax.figure.lab_notes = tuple(notes.lines())
        warn_of_boxes(notes)
        return ax

    def to_json(self) -> dict:
        return {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "style": asdict(self.style),
        }

    @classmethod
    def from_json(cls, data: Mapping) -> CurveFigure:
        try:
            made = cls(**{**data, "style": FigureStyle.from_json(data["style"])})
            CHECKS[made.curve](made.data)
            return made
        except MTLNASError as error:
            raise ConfigError(f"this describes no curve: {error}") from None
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise ConfigError(f"this describes no curve: {brief(error)}") from None


def _must_fit(look: FigureStyle) -> None:
    if look.width < 2.8 * look.font:  # mm for each point of the font: room for labels and a curve
        raise ConfigError(
            f"{look.width:g} mm is not wide enough for a curve at {look.font:g} pt; give "
            f"{2.8 * look.font:.0f} mm"
        )


def default_height(curve: str, data, look: FigureStyle) -> float | None:
    """mm of a new figure; None for the golden section of its width."""
    return 0.86 * look.width if curve == "heatmap" and len(data["depth"]) > 2 else None


def _texts(value) -> Iterator[str]:
    """All texts in plain data."""
    if isinstance(value, str):
        yield value[:1000]
    elif isinstance(value, Mapping):
        yield from (key[:1000] for key in value if isinstance(key, str))
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, (list, tuple)) and value and not isinstance(value[0], (int, float)):
        for part in value:
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
    own = set(inspect.signature(DRAWN[curve]).parameters) - {"data", "ax", "look"}
    if not isinstance(options, Mapping) or (unknown := set(options) - own):
        unknown = unknown if isinstance(options, Mapping) else {brief(options)}
        raise ConfigError(
            f"{curve} has no option {brief(min(map(str, unknown)))}; there are {', '.join(sorted(own))}"
        )
    check_title(options.get("title"))
    for name, value in options.items():
        kind, words = OPTIONS[name]
        good = type(value) is kind and (kind is not int or value > 0)
        if not good and (value is not None or kind is bool):
            raise ConfigError(f"{name}={brief(value)} of {curve}; give {words}")


def axes_level(take: Callable, check: Callable) -> Callable:
    """draw(data, ax, style, …) becomes plot(source, *, ax=None, style="paper-single", height=None (mm), …) -> Axes.

    take(source, …) makes the data: plain numbers and names. What it takes and what `draw` takes are the options.
    check(data) raises for what is no such data, as a file may hold it. draw returns how many mm its legend is high.
    """
    wanted = list(inspect.signature(take).parameters.values())[1:]

    def decorate(draw: Callable) -> Callable:
        name = draw.__name__.removeprefix("plot_")
        DRAWN[name], CHECKS[name] = draw, check

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
            data = take(
                source, **{p.name: options.pop(p.name) for p in wanted if p.name in options}
            )
            drawn = CurveFigure(name, data, style, height, options).plot(ax)
            if ax is None:
                drawn.figure.lab_facts = provenance(source)
            return drawn

        first, *shared, _ = inspect.signature(plot, follow_wrapped=False).parameters.values()
        own = [
            p.replace(kind=p.KEYWORD_ONLY)
            for p in [*wanted, *inspect.signature(draw).parameters.values()]
            if p.name not in ("data", "ax", "look")
        ]
        plot.__signature__ = inspect.Signature([first, *shared, *own])
        return plot

    return decorate


def numbers(values, digits: int = 10) -> list:
    """Plain numbers for JSON, of so many digits that count; None for what is not finite (or above 10¹⁰⁰)."""
    return [
        float(f"{v:.{digits}g}") if abs(v) < HUGE else None
        for v in np.asarray(values, float).tolist()
    ]


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
    narrow, rise = is_narrow(ax, look), rise + 0.3 * look.small
    em = look.small * PT
    room = look.width - 0.6 * em if narrow else size_of(ax)[0]
    handles = _listed(handles)
    hand = (3.0 if narrow else 3.2) * em
    labels = [shorten(str(h.get_label()), look.small, max(room - hand, 1)) for h in handles]
    widths = [text_width(text, look.small) + hand for text in labels]
    columns = max(len(handles), 1)
    while columns > 1 and sum(max(part) for part in np.array_split(widths, columns)) > room:
        columns -= 1
    edge = ax.figure.transFigure if narrow else ax.transAxes
    place = blended_transform_factory(edge, ax.transAxes)
    more = {}
    if narrow and label:
        more = {"title": _one_line(label, look, room), "alignment": "left"}
        more["title_fontsize"] = look.small
    legend = ax.legend(
        handles=handles,
        labels=[drawable(text) for text in labels],
        loc="lower left",
        ncols=columns,
        labelcolor=look.ink,
        columnspacing=1.2,
        handletextpad=0.5,
        handlelength=0.9 if narrow else 1.4,
        bbox_to_anchor=(0.3 * em / look.width if narrow else 0, 1),
        borderaxespad=0,
        borderpad=0,
        bbox_transform=place + ScaledTranslation(0, rise / 72, ax.figure.dpi_scale_trans),
        **more,
    )
    legend.get_title().set_parse_math(False)
    rows = -(-len(handles) // columns) + bool(more)
    pad = rise + 1.5 * look.small * min(rows, 3) + 1.32 * look.small * max(rows - 3, 0)
    if title and narrow:
        shown = drawable(shorten(title, look.font, room / BOLD))
        ax.figure.suptitle(
            shown,
            x=0.3 * em / look.width,
            ha="left",
            size=look.font,
            weight="bold",
            parse_math=False,
        )
    elif title:
        place_title(ax, look, title, pad + 0.4 * look.small)
    return (pad + (0.4 * look.small + look.font) * bool(title)) * PT


def _one_line(label: str, look, room: float) -> str:
    return drawable(shorten(", ".join(label.split("\n")), look.small, room))


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
    empty = Line2D([], [], linestyle="none", label=f"and {rest} more")
    return [*handles[: MOST_ENTRIES - 1], empty]


def side_label(text: str, ax, look) -> str:
    """The label of an axis that stands upright, each of its lines cut to the height of the page."""
    room = ax.get_figure(root=False).bbox.height / ax.figure.dpi * MM
    lines = [shorten(line, look.font, 0.85 * room) for line in text.split("\n")]
    return "\n".join(map(drawable, lines))
