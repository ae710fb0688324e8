"""What all curves and tables share: a function of a source that draws on axes, and a figure that can be drawn again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import wraps

import numpy as np
from matplotlib.transforms import ScaledTranslation

from ..errors import ConfigError, RunError
from ..events import EventLog
from ..runs import Run
from .facts import provenance
from .graph import opened
from .style import MM, PT, FigureStyle, text_width
from .style import style as style_named

DRAWN: dict[str, Callable] = {}  # what draws each kind of curve, by its name


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
        if self.curve not in DRAWN:
            raise ConfigError(f"there is no curve {self.curve!r}; there are {', '.join(DRAWN)}")

    def plot(self, ax=None):
        """Draw on `ax`, or on a new figure, which remembers what it shows. Returns the axes."""
        with self.style.context():
            if new := ax is None:
                ax = self.style.figure(self.height, layout="constrained").add_subplot()
            DRAWN[self.curve](self.data, ax, self.style, **self.options)
        if new:
            ax.figure.lab_spec = self
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
            made.plot()
            return made
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ConfigError(f"this describes no curve: {error!r}") from None


def axes_level(take: Callable) -> Callable:
    """draw(data, ax, style, …) becomes plot(source, *, ax=None, style="paper-single", height=None (mm), …) -> Axes.

    take(source, …) makes the data: plain numbers and names. What it takes and what `draw` takes are the options.
    """
    wanted = list(inspect.signature(take).parameters.values())[1:]

    def decorate(draw: Callable) -> Callable:
        name = draw.__name__.removeprefix("plot_")
        DRAWN[name] = draw

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


def read_log(source) -> EventLog:
    """The event log of a run or its folder, or the log itself; raises RunError for anything else."""
    source = opened(source)
    log = source.log if isinstance(source, Run) else source
    if not isinstance(log, EventLog):
        raise RunError(
            f"a {type(source).__name__} is no log of a search; give an EventLog, a run or its folder"
        )
    return log


def numbers(values, digits: int = 10) -> list:
    """Plain numbers for JSON, of so many digits that count; None for what is not finite."""
    return [
        float(f"{v:.{digits}g}") if np.isfinite(v) else None
        for v in np.asarray(values, float).tolist()
    ]


def size_of(ax) -> tuple[float, float]:
    """Width and height of axes in mm, before constrained layout moves them."""
    box = ax.get_window_extent()
    return box.width / ax.figure.dpi * MM, box.height / ax.figure.dpi * MM


def legend_above(ax, look, handles, title=None, rise: float = 0):
    """The legend in rows above the axes, where it covers nothing (`rise` pt above them), and the title above that."""
    room, rise = size_of(ax)[0], rise + 0.3 * look.small
    widths = [text_width(h.get_label(), look.small) + 3.2 * look.small * PT for h in handles]
    columns = max(len(handles), 1)
    while columns > 1 and sum(max(part) for part in np.array_split(widths, columns)) > room:
        columns -= 1
    ax.legend(
        handles=handles,
        loc="lower left",
        ncols=columns,
        labelcolor=look.ink,
        columnspacing=1.2,
        handletextpad=0.5,
        bbox_to_anchor=(0, 1),
        borderaxespad=0,
        borderpad=0,
        bbox_transform=ax.transAxes + ScaledTranslation(0, rise / 72, ax.figure.dpi_scale_trans),
    )
    if title:
        ax.set_title(
            title, pad=rise + 1.5 * look.small * -(-len(handles) // columns) + 0.4 * look.small
        )
