"""How pictures look: sizes of paper and screen in real units, and colours that survive print and colour-blind eyes."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from numbers import Real

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure

from ..errors import ConfigError

MM = 25.4  # millimetres in an inch
PT = 25.4 / 72  # millimetres in a point
SMALLEST_PT = 6.0  # no text is smaller than this at print size
WIDEST = 5000  # mm, of a page
LONGEST = 600  # letters of a text that are measured and drawn; the others become …
LINES = (
    "-",
    (0, (4, 1.5)),
    (0, (1, 1.2)),
    (0, (5, 1.2, 1, 1.2)),
)  # after each eight colours, the next
MARKERS = "osD^vP*X"

# Told apart by people who see no red, no green or no blue, by their grey alone, and from the paper
# (tests/test_viz_style.py). The page's scripts have the same eight (widgets/plan.js).
TASK_COLORS = (
    "#2262ad",
    "#f0a236",
    "#30a683",
    "#571b52",
    "#9fcdee",
    "#c9452f",
    "#8d6afa",
    "#101418",
)
ON_DARK = (
    "#2262ad",
    "#f0a236",
    "#30a683",
    "#7d326e",
    "#aadcf3",
    "#c9452f",
    "#f3eda4",
    "#3a02ca",
)
# For a ninth to twelfth task, on white and on dark paper: no grey of their own is left, so lines differ, too.
MORE_COLORS = {
    False: ("#4f01b0", "#c7c981", "#6d0a03", "#535047"),
    True: ("#baa1fe", "#801924", "#b055fd", "#65eac1"),
}
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


def brief(value: object) -> str:
    """A value in an error's one line: as Python writes it, cut after 60 letters."""
    try:
        text = repr(value)
    except ValueError:  # thousands of digits
        text = f"a {type(value).__name__} too long to be written"
    return text if len(text) <= 60 else text[:59] + "…"


def in_range(what: str, value, low: float, high: float, unit: str = "") -> float:
    """The value, if it is a finite number from low to high. Raises ConfigError."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if number and low <= value <= high:  # neither NaN nor infinity is
        return value
    unit = unit and f" {unit}"
    raise ConfigError(f"{what} {brief(value)}{unit}; give a number from {low:g} to {high:g}")


def _colors(name: str, colors) -> tuple[str, ...]:
    if not isinstance(colors, (tuple, list)) or not 1 <= len(colors) <= 256:
        raise ConfigError(f"style {name!r} has task_colors={brief(colors)}; give 1 to 256 colours")
    try:
        return tuple(to_hex(color) for color in colors)
    except (ValueError, TypeError):
        raise ConfigError(
            f"style {name!r} has task_colors={brief(colors)}; give colours such as '#2262ad'"
        ) from None


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
        if not isinstance(self.name, str) or len(self.name) > 100:
            raise ConfigError(
                f"name={brief(self.name)} of a style; give a text of at most 100 letters"
            )
        if not isinstance(self.dark, bool):
            raise ConfigError(f"dark={brief(self.dark)} of style {self.name!r}; give True or False")
        for size in ("font", "small"):
            value = in_range(f"{size} of style {self.name!r} is", getattr(self, size), 0, 300, "pt")
            if value < SMALLEST_PT:
                raise ConfigError(
                    f"style {self.name!r} has text of {value:g} pt, too small to read; "
                    f"give at least {SMALLEST_PT:g} pt"
                )
        if not isinstance(self.dpi, int) or not 20 <= self.dpi <= 2400 or self.dpi is True:
            raise ConfigError(
                f"style {self.name!r} has dpi={brief(self.dpi)}; give a whole number from 20 to 2400"
            )
        in_range(f"style {self.name!r} is", self.width, 1, WIDEST, "mm wide")
        object.__setattr__(self, "task_colors", _colors(self.name, self.task_colors))

    @classmethod
    def from_json(cls, data: Mapping) -> FigureStyle:
        """What `asdict` made of a style. Raises ConfigError for anything else."""
        try:
            return cls(**data)
        except TypeError as error:
            raise ConfigError(f"this describes no style: {error}") from None

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
        """{task: colour}: each of 120 tasks has one of its own; behind the twelfth they get closer and closer."""
        known = self.task_colors + MORE_COLORS[self.dark]
        tasks, found = list(tasks), []
        for i in range(min(len(tasks), 120)):
            turn, place = divmod(i, len(known))
            color, share = (
                known[place],
                0.6 * turn / (turn + 1),
            )  # of the soft colour: 0, 0.3, 0.4, …
            while turn and share < 1 and (color == known[place] or color in found):
                pairs = zip(to_rgb(known[place]), to_rgb(self.soft))
                color = to_hex([(1 - share) * one + share * other for one, other in pairs])
                share += 0.011
            found.append(color)
        return {task: found[i % 120] for i, task in enumerate(tasks)}

    def lines(self, tasks: Iterable[str]) -> dict[str, object]:
        """{task: line style}: the first eight solid, the next eight dashed, and so on."""
        return {task: LINES[i // 8 % len(LINES)] for i, task in enumerate(tasks)}

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
        if height is None:
            height = max(width / 1.618, 4.6 * self.font)  # so high that a label fits beside it
        with self.context():
            figure = Figure(figsize=(width / MM, height / MM), layout=layout)
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
        FigureStyle(
            "web-dark", width=254, font=10, small=8.5, dpi=100, dark=True, task_colors=ON_DARK
        ),
    )
}


def style(name: str | FigureStyle) -> FigureStyle:
    """A style by its name (or itself). Raises ConfigError for a name that is none of `STYLES`."""
    if isinstance(name, FigureStyle):
        return name
    if not isinstance(name, str) or name not in STYLES:
        raise ConfigError(f"there is no style {brief(name)}; choose one of {', '.join(STYLES)}")
    return STYLES[name]


# --- notes ------------------------------------------------------------------------------------------------------------
@dataclass
class Notes:
    """What a picture shows otherwise than it was told: texts that were cut, characters that no font has."""

    short: dict[str, str] = field(default_factory=dict)  # text: as it is shown
    missing: dict[str, None] = field(default_factory=dict)  # characters
    said: dict[str, None] = field(default_factory=dict)  # other sentences

    def lines(self) -> list[str]:
        found = list(self.said)
        for text, shown in list(self.short.items())[:20]:
            found.append(f"“{shown}” is short for “{text}”")
        if len(self.short) > 20:
            found.append(f"and {len(self.short) - 20} more texts are cut")
        if self.missing:
            found.append(self.boxes())
        return found

    def boxes(self) -> str:
        """Which characters are drawn as □."""
        shown = ", ".join(f"{c} (U+{ord(c):04X})" for c in list(self.missing)[:12])
        more = f" and {len(self.missing) - 12} more" if len(self.missing) > 12 else ""
        return (
            f"no font of this machine has {shown}{more}, drawn as □; install a font that has them, "
            "such as Noto Sans CJK or Noto Emoji"
        )

    def add(self, other: Notes) -> None:
        self.short.update(other.short)
        self.missing.update(other.missing)
        self.said.update(other.said)


_noting: ContextVar[Notes | None] = ContextVar("noting", default=None)


@contextmanager
def noting() -> Iterator[Notes]:
    """Collects what happens to texts meanwhile; whoever collects outside hears of it, too."""
    notes, outer = Notes(), _noting.get()
    token = _noting.set(notes)
    try:
        yield notes
    finally:
        _noting.reset(token)
        if outer is not None:
            outer.add(notes)


def note(sentence: str) -> None:
    """Says something about the picture that is being made."""
    notes = _noting.get()
    if notes is not None:
        notes.said[sentence] = None


class PictureWarning(UserWarning):
    """A picture does not show all it was told to show."""


def warn_of_boxes(notes: Notes) -> None:
    if notes.missing:
        warnings.warn(notes.boxes(), PictureWarning, stacklevel=2)


# --- text -------------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=1)
def _own_fonts() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return ("DejaVu Sans", *(name for name in FALLBACK_FONTS if name in there))


_found: list[str] = []  # further fonts of this machine, each for a character that a picture needed


def fonts() -> tuple[str, ...]:
    """DejaVu Sans, which matplotlib brings along, then whatever this machine has for other scripts."""
    return (*_own_fonts(), *_found)


@lru_cache(maxsize=1)
def _faces() -> tuple:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return tuple(get_font(findfont(FontProperties(family=[name]))) for name in _own_fonts())


@lru_cache(maxsize=1)
def _elsewhere() -> dict[int, str]:
    """{character: font} of all fonts of the machine that draw outlines; also those installed a moment ago."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {entry.fname for entry in fontManager.ttflist}
    for path in sorted(set(findSystemFonts()) - known):
        try:
            fontManager.addfont(path)
        except (OSError, RuntimeError, ValueError):  # a damaged file, or one of pixels only
            continue
    found: dict[int, str] = {}
    for entry in sorted(fontManager.ttflist[:4000], key=lambda entry: "Sans" not in entry.name):
        plain = entry.style == "normal" and entry.weight in (400, "normal", "regular")
        if plain and not entry.name.startswith(("cm", "Last", "STIXS", "STIXN", "Adobe Blank")):
            for code in _codes(entry.fname):
                found.setdefault(code, entry.name)
    return found


def _codes(path: str) -> list[int]:
    """The characters of a font that matplotlib can draw; those of private use mean another thing in each font."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        codes = font.get_charmap() if font.scalable else ()
    except (OSError, RuntimeError, ValueError):
        return []
    return [code for code in codes if not 0xE000 <= code <= 0xF8FF and code < 0xF0000]


@lru_cache(maxsize=2**16)
def _has_glyph(c: str) -> bool:
    if any(face.get_char_index(ord(c)) for face in _faces()):
        return True
    name = _elsewhere().get(ord(c))
    if name is not None and name not in _found:
        _found.append(name)
    return name is not None


def find_fonts(texts: Iterable[str]) -> None:
    """Has the fonts at hand that these texts need, as far as this machine has them."""
    for c in set("".join(texts)):
        _has_glyph(_plain_letter(c))


SPACES = "\t\n\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029"


@lru_cache(maxsize=2**16)
def _plain_letter(c: str) -> str:
    if c in SPACES:
        return " "
    kind = unicodedata.category(c)
    outside = kind in ("Cc", "Cs") or ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF
    return "\ufffd" if outside else c


def tidy(text: object) -> str:
    """A text as one line that every format may hold: no control characters, and at most 600 letters."""
    text = str(text)
    if len(text) <= LONGEST:
        return "".join(map(_plain_letter, text))
    half = LONGEST // 2
    shown = tidy(text[: half - 1]) + "…" + tidy(text[-half:])
    if (notes := _noting.get()) is not None:
        notes.short[text] = shown
    return shown


def drawable(text: object) -> str:
    """`text` on one line, with a white square for each character that no font at hand can draw."""
    shown = []
    for c in tidy(text):
        there = _has_glyph(c)
        shown.append(c if there else "□")
        if not there and (notes := _noting.get()) is not None:
            notes.missing[c] = None
    return "".join(shown)


def text_width(text: str, size: float) -> float:
    """Width in mm of `text` at `size` pt."""
    return _width(drawable(text)) * size / 100 * PT


@lru_cache(maxsize=4096)
def _width(text: str) -> float:
    """Width of a text at 100 pt, in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    props = FontProperties(family=list(fonts()), size=100)
    return text_to_path.get_text_width_height_descent(text, props, ismath=False)[0]


def shorten(text: str, size: float, room: float) -> str:
    """`text` on one line, cut in the middle to fit into `room` mm at `size` pt."""
    whole, text = str(text), tidy(text)
    if text_width(text, size) <= room:
        return text
    low, high = 0, len(text) - 1  # letters that stay: none surely fits, all of them surely not
    while low < high:
        keep = (low + high + 1) // 2
        if text_width(_cut(text, keep), size) <= room:
            low = keep
        else:
            high = keep - 1
    shown = _cut(text, low) if low else "…"
    if (notes := _noting.get()) is not None:
        notes.short[whole] = shown
    return shown


def _cut(text: str, keep: int) -> str:
    return text[: (keep + 1) // 2].rstrip() + "…" + text[len(text) - keep // 2 :].lstrip()
