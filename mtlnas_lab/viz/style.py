"""How pictures look: sizes of paper and screen in real units, and colours that survive print and colour-blind eyes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure

from ..errors import ConfigError

MM = 25.4  # millimetres in an inch
PT = 25.4 / 72  # millimetres in a point
SMALLEST_PT = 6.0  # no text is smaller than this at print size

# Told apart by people who see no red, no green or no blue, and by their grey alone (tests/test_viz_style.py).
TASK_COLORS = (
    "#2262ad",
    "#f0a236",
    "#30a683",
    "#571b52",
    "#aadcf3",
    "#c9452f",
    "#f6f0a6",
    "#101418",
)
RAMPS = {
    False: ("#c8bfbd", "#d39a9f", "#c05a80", "#6f2a72", "#240b36"),
    True: ("#464049", "#754680", "#b84f86", "#f0918a", "#fdebc8"),
}
FILES = {
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "mtlnas_lab",
    "path.simplify": True,
}
FALLBACK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans",
    "SimHei",
    "WenQuanYi Zen Hei",
    "Malgun Gothic",
    "Noto Sans Devanagari",
    "Noto Emoji",
)


@dataclass(frozen=True)
class FigureStyle:
    """One kind of page: its width in mm, its sizes of text in points, its colours, the dots per inch of PNG files."""

    name: str
    width: float  # mm
    font: float  # pt
    small: float  # pt, for ticks and labels inside the picture
    dpi: int = 300
    dark: bool = False
    task_colors: tuple[str, ...] = TASK_COLORS

    def __post_init__(self):
        if min(self.font, self.small) < SMALLEST_PT:
            raise ConfigError(
                f"style {self.name!r} has text of {min(self.font, self.small):g} pt, too small to read; "
                f"give at least {SMALLEST_PT:g} pt"
            )
        if not self.width > 0:
            raise ConfigError(f"style {self.name!r} is {self.width} mm wide; give a width above 0")

    @classmethod
    def from_json(cls, data: Mapping) -> FigureStyle:
        """What `asdict` made of a style. Raises KeyError, TypeError or ValueError for what is none."""
        return cls(**{**data, "task_colors": tuple(to_hex(color) for color in data["task_colors"])})

    @property
    def paper(self) -> str:
        return "#14161b" if self.dark else "#ffffff"

    @property
    def ink(self) -> str:
        return "#eceff4" if self.dark else "#1b1f27"

    @property
    def soft(self) -> str:
        """For ticks, labels of groups and other second-rank text."""
        return "#a9b1bf" if self.dark else "#5c6370"

    @property
    def shade(self) -> str:
        """Behind a group of stages, and for grids."""
        return "#20242c" if self.dark else "#f2f3f6"

    @property
    def line(self) -> float:
        """Width of a plain line, pt."""
        return 0.13 * self.font

    @property
    def ramp(self) -> LinearSegmentedColormap:
        """From 0 (close to the paper) to 1 (close to the ink); its lightness only falls, or only rises on dark."""
        return _ramp(self.dark)

    def colors(self, tasks: Iterable[str]) -> dict[str, str]:
        return {task: self.task_colors[i % len(self.task_colors)] for i, task in enumerate(tasks)}

    def on(self, color: str) -> str:
        """Ink for text on a patch of `color`."""
        red, green, blue = to_rgb(color)
        return "#ffffff" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.56 else "#1b1f27"

    def rc(self) -> dict:
        """Settings of matplotlib for axes in this style: real text in SVG, embedded TrueType in PDF, the same bytes."""
        line, small = self.line, self.small
        return {
            "font.family": list(fonts()),
            "font.size": self.font,
            "text.parse_math": False,
            "text.color": self.ink,
            "axes.labelsize": self.font,
            "axes.labelcolor": self.ink,
            "axes.facecolor": self.paper,
            "axes.titlesize": self.font,
            "axes.titlecolor": self.ink,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.titlepad": 0.8 * self.font,
            "axes.edgecolor": self.soft,
            "axes.linewidth": 0.7 * line,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": self.shade,
            "grid.linewidth": line,
            "xtick.labelsize": small,
            "xtick.color": self.soft,
            "xtick.major.width": 0.7 * line,
            "ytick.labelsize": small,
            "ytick.color": self.soft,
            "ytick.major.width": 0.7 * line,
            "xtick.major.size": 0.3 * self.font,
            "ytick.major.size": 0.3 * self.font,
            "lines.linewidth": 1.5 * line,
            "lines.solid_capstyle": "round",
            "legend.fontsize": small,
            "legend.frameon": False,
            "legend.handlelength": 1.4,
            "legend.labelspacing": 0.3,
            "figure.facecolor": self.paper,
            "savefig.facecolor": self.paper,
            "savefig.dpi": self.dpi,
            "figure.dpi": min(self.dpi, 100),
            **FILES,
        }

    def context(self) -> AbstractContextManager:
        return matplotlib.rc_context(self.rc())

    def figure(
        self, height: float | None = None, width: float | None = None, layout: str | None = None
    ) -> Figure:
        """An empty figure without pyplot, `height` mm (the golden section of the width by default)."""
        width = self.width if width is None else width
        with self.context():
            figure = Figure(
                figsize=(width / MM, (width / 1.618 if height is None else height) / MM),
                layout=layout,
            )
        FigureCanvasAgg(figure)
        figure.lab_dpi = self.dpi
        return figure


@lru_cache
def _ramp(dark: bool) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list(f"gates-{dark}", RAMPS[dark])


STYLES = {
    style.name: style
    for style in (
        FigureStyle("paper-single", width=85, font=7, small=6),
        FigureStyle("paper-double", width=178, font=8, small=7),
        FigureStyle("slide", width=254, font=16, small=13, dpi=150),
        FigureStyle("poster", width=500, font=28, small=22, dpi=200),
        FigureStyle("web-light", width=254, font=10, small=8.5, dpi=100),
        FigureStyle("web-dark", width=254, font=10, small=8.5, dpi=100, dark=True),
    )
}


def style(name: str | FigureStyle) -> FigureStyle:
    """A style by its name (or itself). Raises ConfigError for a name that is none of `STYLES`."""
    if isinstance(name, FigureStyle):
        return name
    if name not in STYLES:
        raise ConfigError(f"there is no style {name!r}; choose one of {', '.join(STYLES)}")
    return STYLES[name]


@lru_cache(maxsize=1)
def fonts() -> tuple[str, ...]:
    """DejaVu Sans, which matplotlib brings along, then whatever this machine has for other scripts."""
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return ("DejaVu Sans", *(name for name in FALLBACK_FONTS if name in there))


@lru_cache(maxsize=1)
def _faces() -> tuple:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return tuple(get_font(findfont(FontProperties(family=[name]))) for name in fonts())


def drawable(text: str) -> str:
    """`text` with a white square for each character that no font at hand can draw."""
    return "".join(
        c if any(face.get_char_index(ord(c)) for face in _faces()) else "□" for c in text
    )


@lru_cache(maxsize=4096)
def text_width(text: str, size: float) -> float:
    """Width in mm of `text` at `size` pt."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    props = FontProperties(family=list(fonts()), size=100)
    return (
        text_to_path.get_text_width_height_descent(drawable(text), props, ismath=False)[0]
        * size
        / 100
        * PT
    )


def shorten(text: str, size: float, room: float) -> str:
    """`text`, cut in the middle to fit into `room` mm at `size` pt."""
    if text_width(text, size) <= room:
        return text
    for keep in range(len(text) - 1, 0, -1):
        short = text[: (keep + 1) // 2].rstrip() + "…" + text[len(text) - keep // 2 :].lstrip()
        if text_width(short, size) <= room:
            return short
    return "…"
