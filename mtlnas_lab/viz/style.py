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
from .origin import remember

MM = 25.4  # millimetres in an inch
PT = 25.4 / 72  # millimetres in a point
SMALLEST_PT = 6.0  # no text is smaller than this at print size
WIDEST = 5000  # mm, of a page
BOLD = 1.12  # how much wider bold text is
MOST_ENTRIES = 24  # of a legend
LONGEST = 600  # letters of a text that are measured and drawn; the others become …
# After each eight colours, the next.
LINES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))
MARKERS = "osD^vP*X"

# Told apart by people who see no red, no green or no blue, by their grey alone, and from the paper
# (tests/viz/test_style.py). The page's scripts have the same eight.
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
PAGES = {
    False: {"paper": "#ffffff", "ink": "#1b1f27", "soft": "#5c6370", "shade": "#f2f3f6"},
    True: {"paper": "#14161b", "ink": "#eceff4", "soft": "#a9b1bf", "shade": "#20242c"},
}
RAMPS = {
    False: ("#c8bfbd", "#d39a9f", "#c05a80", "#6f2a72", "#240b36"),
    True: ("#464049", "#754680", "#b84f86", "#f0918a", "#fdebc8"),
}
# Text stays text in PDF and SVG, and the ids of an SVG are the same each time.
FILES = {
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "mtlnas_lab",
    "path.simplify": True,
}
# What all styles share, in matplotlib's words.
PLAIN = {
    "text.parse_math": False,  # names are names, whatever they hold
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.labelspacing": 0.3,
}
# matplotlib's own fonts of formulas, and fonts that draw a box or nothing for each character.
ODD_FONTS = ("cm", "Last", "STIXS", "STIXN", "Adobe Blank")
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
    except ValueError:  # Python refuses to write an integer of thousands of digits
        text = f"a {type(value).__name__} too long to be written"
    if len(text) > 60:
        text = text[:59] + "…"
    return text


def in_range(what: str, value, low: float, high: float, unit: str = "") -> float:
    """The value, if it is a finite number from low to high. Raises ConfigError."""
    number = isinstance(value, Real) and not isinstance(value, bool)  # True is 1 to Python
    if number and low <= value <= high:  # NaN is not, for it compares False
        return value
    shown = f"{what} {brief(value)} {unit}".rstrip()
    raise ConfigError(f"{shown}; give a number from {low:g} to {high:g}")


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
        """The colour of the page."""
        return PAGES[self.dark]["paper"]

    @property
    def ink(self) -> str:
        """For titles, labels and other first-rank text."""
        return PAGES[self.dark]["ink"]

    @property
    def soft(self) -> str:
        """For ticks, labels of groups and other second-rank text."""
        return PAGES[self.dark]["soft"]

    @property
    def shade(self) -> str:
        """Behind a group of stages, and for grids."""
        return PAGES[self.dark]["shade"]

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
        tasks = list(tasks)
        found: list[str] = []
        for i in range(min(len(tasks), 120)):
            turn, place = divmod(i, len(known))
            color = known[place]
            share = 0.6 * turn / (turn + 1)  # of the soft colour: 0, 0.3, 0.4, …
            # Two mixtures may round to one colour; a little more of the soft one keeps them apart.
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
        """Ink for text on a patch of `color`, by its luma (ITU-R BT.601)."""
        red, green, blue = to_rgb(color)
        if 0.299 * red + 0.587 * green + 0.114 * blue < 0.56:
            return PAGES[False]["paper"]
        return PAGES[False]["ink"]

    def rc(self) -> dict:
        """Settings of matplotlib for axes in this style: real text in SVG, embedded TrueType in PDF, the same bytes."""
        return PLAIN | self._sizes() | self._lines() | self._paints() | FILES

    def _sizes(self) -> dict:
        """Sizes of text and the dots per inch."""
        found = {"font.family": list(fonts()), "axes.titlepad": 0.8 * self.font}
        for name in ("font.size", "axes.labelsize", "axes.titlesize"):
            found[name] = self.font
        for name in ("xtick.labelsize", "ytick.labelsize", "legend.fontsize"):
            found[name] = self.small
        found["savefig.dpi"] = self.dpi
        found["figure.dpi"] = min(self.dpi, 100)  # on a screen nobody needs more
        return found

    def _lines(self) -> dict:
        """Widths of lines and lengths of ticks, in points."""
        thin = 0.7 * self.line
        tick = 0.3 * self.font
        return {
            "axes.linewidth": thin,
            "xtick.major.width": thin,
            "ytick.major.width": thin,
            "xtick.major.size": tick,
            "ytick.major.size": tick,
            "grid.linewidth": self.line,
            "lines.linewidth": 1.5 * self.line,
        }

    def _paints(self) -> dict:
        return {
            "text.color": self.ink,
            "axes.labelcolor": self.ink,
            "axes.titlecolor": self.ink,
            "axes.facecolor": self.paper,
            "axes.edgecolor": self.soft,
            "grid.color": self.shade,
            "xtick.color": self.soft,
            "ytick.color": self.soft,
            "figure.facecolor": self.paper,
            "savefig.facecolor": self.paper,
        }

    def context(self) -> AbstractContextManager:
        """Has matplotlib draw in this style meanwhile."""
        return matplotlib.rc_context(self.rc())

    def figure(
        self, height: float | None = None, width: float | None = None, layout: str | None = None
    ) -> Figure:
        """An empty figure without pyplot, `height` mm (the golden section of the width by default)."""
        if width is None:
            width = self.width
        if height is None:
            height = max(width / 1.618, 4.6 * self.font)  # so high that a label fits beside it
        with self.context():
            figure = Figure(figsize=(width / MM, height / MM), layout=layout)
        FigureCanvasAgg(figure)  # so that the figure can measure text and draw itself
        remember(figure, dpi=self.dpi)
        return figure


@lru_cache
def _ramp(dark: bool) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list(f"gates-{dark}", RAMPS[dark])


STYLES: dict[str, FigureStyle] = {}


def _add_style(name: str, width: float, font: float, small: float, dpi: int = 300, **more) -> None:
    STYLES[name] = FigureStyle(name, width, font, small, dpi, **more)


# 85 and 178 mm are the one and the two columns of most journals' pages.
_add_style("paper-single", 85, 7, 6)
_add_style("paper-double", 178, 8, 7)
_add_style("slide", 254, 16, 13, dpi=150)
_add_style("poster", 500, 28, 22, dpi=200)
_add_style("web-light", 254, 10, 8.5, dpi=100)
_add_style("web-dark", 254, 10, 8.5, dpi=100, dark=True, task_colors=ON_DARK)


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
        if len(self.missing) > 12:
            shown += f" and {len(self.missing) - 12} more"
        return (
            f"no font of this machine has {shown}, drawn as □; install a font that has them, "
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
    notes = Notes()
    outer = _noting.get()
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
    # Fonts without serifs come first, for they look most like DejaVu Sans.
    for entry in sorted(fontManager.ttflist[:4000], key=lambda entry: "Sans" not in entry.name):
        upright = entry.style == "normal" and entry.weight in (400, "normal", "regular")
        if upright and not entry.name.startswith(ODD_FONTS):
            for code in _codes(entry.fname):
                found.setdefault(code, entry.name)
    return found


def _codes(path: str) -> list[int]:
    """The characters of a font that matplotlib can draw; those of private use mean another thing in each font."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        if not font.scalable:
            return []
        codes = font.get_charmap()
    except (OSError, RuntimeError, ValueError):  # a damaged file
        return []
    # U+E000 to U+F8FF and all from U+F0000 on are for private use.
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
    control = unicodedata.category(c) in ("Cc", "Cs")
    noncharacter = ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF
    return "\ufffd" if control or noncharacter else c


def tidy(text: object) -> str:
    """A text as one line that every format may hold: no control characters, and at most 600 letters."""
    text = str(text)
    if len(text) <= LONGEST:
        return "".join(map(_plain_letter, text))
    half = LONGEST // 2
    shown = tidy(text[: half - 1]) + "…" + tidy(text[-half:])
    _note_cut(text, shown)
    return shown


def _note_cut(text: str, shown: str) -> None:
    notes = _noting.get()
    if notes is not None:
        notes.short[text] = shown


def drawable(text: object) -> str:
    """`text` on one line, with a white square for each character that no font at hand can draw."""
    notes = _noting.get()
    shown = []
    for c in tidy(text):
        if _has_glyph(c):
            shown.append(c)
            continue
        shown.append("□")
        if notes is not None:
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
    whole = str(text)
    text = tidy(text)
    if text_width(text, size) <= room:
        return text
    # Bisection over the letters that stay: none surely fits, all of them surely do not.
    low = 0
    high = len(text) - 1
    while low < high:
        keep = (low + high + 1) // 2
        if text_width(_cut(text, keep), size) <= room:
            low = keep
        else:
            high = keep - 1
    shown = _cut(text, low)
    _note_cut(whole, shown)
    return shown


def _cut(text: str, keep: int) -> str:
    """The first and last letters of a text, `keep` together, with … between them."""
    first = text[: (keep + 1) // 2].rstrip()
    last = text[len(text) - keep // 2 :].lstrip()
    return f"{first}…{last}"
