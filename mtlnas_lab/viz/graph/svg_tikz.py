"""A scene as SVG and as TikZ: written here, without matplotlib and without LaTeX."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from ..style import PT
from .shapes import Box, Curve, Point, Scene, Text

CONTROL = re.compile(r"[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def number(value: float) -> str:
    """At most three digits behind the point: a micrometre."""
    return f"{round(value, 3) + 0.0:.3f}".rstrip("0").rstrip(".")


def clean(text: str) -> str:
    """Without the control characters that no XML and no TeX file may hold."""
    return CONTROL.sub("\ufffd", text)


def in_words(spec) -> str:
    """What the networks of a figure see, as one line."""
    return clean("; ".join(spec.seen))


# --- SVG --------------------------------------------------------------------------------------------------------------
def to_svg(scene: Scene, note: str = "", title: str = "Fusion graph") -> str:
    """The scene as an SVG file: real text, an id and a <title> for each node and edge, `note` as its metadata, and what the
    networks see as its description."""
    width = number(scene.width)
    height = number(scene.height)
    body = "\n".join(_svg(item, scene.height) for item in scene.items)
    description = ""
    if scene.spec is not None and scene.spec.seen:
        description = f"<desc>{escape(in_words(scene.spec))}</desc>\n"
    paper = f'<rect id="paper" width="{width}" height="{height}" fill="{scene.style.paper}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="\'DejaVu Sans\', Verdana, sans-serif">\n'
        f'<title>{escape(clean(title))}</title>\n{description}<metadata id="mtlnas_lab">{escape(clean(note))}</metadata>\n'
        f"{paper}\n{body}\n</svg>\n"
    )


def _svg(item: Curve | Box | Text, page: float) -> str:
    """One shape; SVG counts y from the top of the page, which is `page` mm high."""
    tag = f" id={quoteattr(item.id)}" if item.id else ""
    if isinstance(item, Text):
        return _svg_text(item, tag, page)
    title = f"<title>{escape(clean(item.title))}</title>" if item.title else ""
    if isinstance(item, Box):
        return _svg_box(item, tag, title, page)
    return _svg_curve(item, tag, title, page)


def _svg_text(text: Text, tag: str, page: float) -> str:
    x = number(text.x)
    y = number(page - text.y)
    look = f'font-size="{number(text.size * PT)}" fill="{text.color}" text-anchor="{text.anchor}"'
    more = ' pointer-events="none"'  # the mouse is meant for the node behind the text
    if text.bold:
        more += ' font-weight="bold"'
    if text.turn:
        more += f' transform="rotate(-90 {x} {y})"'
    return f'<text{tag} x="{x}" y="{y}" {look}{more}>{escape(clean(text.text))}</text>'


def _svg_box(box: Box, tag: str, title: str, page: float) -> str:
    x = number(box.x - box.width / 2)
    y = number(page - (box.y + box.height / 2))
    size = f'width="{number(box.width)}" height="{number(box.height)}"'
    more = ""
    if box.corner:
        more += f' rx="{number(box.corner)}"'
    if box.stroke:
        more += f' stroke="{box.stroke}" stroke-width="{number(box.line * PT)}"'
    return f'<rect{tag} x="{x}" y="{y}" {size} fill="{box.fill}"{more}>{title}</rect>'


def _svg_curve(curve: Curve, tag: str, title: str, page: float) -> str:
    first, *others = (_svg_point(point, page) for point in curve.points)
    width = curve.width * PT
    line = f'fill="none" stroke="{curve.color}" stroke-width="{number(width)}"'
    if curve.dashed:
        line += f' stroke-dasharray="{number(3.2 * width)} {number(2 * width)}"'
    path = f'<path d="M{first}C{" ".join(others)}" {line}/>'
    if curve.head:
        corners = "L".join(_svg_point(point, page) for point in curve.head)
        path += f'<path d="M{corners}Z" fill="{curve.color}"/>'
    opacity = f' opacity="{number(curve.opacity)}"' if curve.opacity < 1 else ""
    return f"<g{tag}{opacity}>{title}{path}</g>"


def _svg_point(point: Point, page: float) -> str:
    return f"{number(point[0])} {number(page - point[1])}"


# --- TikZ -------------------------------------------------------------------------------------------------------------
MATHS = {
    "σ": r"\sigma",
    "α": r"\alpha",
    "λ": r"\lambda",
    "Δ": r"\Delta",
    "↑": r"\uparrow",
    "↓": r"\downarrow",
    "→": r"\to",
    "−": "-",
    "<": "<",
    ">": ">",
    "|": "|",
}
SPECIALS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    '"': "''",
    "…": r"\ldots{}",
    "`": r"\textasciigrave{}",
    **dict.fromkeys("\n\t\r\x85\u2028\u2029", " "),
    **{letter: rf"\ensuremath{{{maths}}}" for letter, maths in MATHS.items()},
}
NOT_IN_T1 = "ĦħĸĿŀŉŦŧ"  # letters below U+0180 that \usepackage[T1]{fontenc} lacks
# LuaTeX and XeTeX set any letter; pdflatex, which lacks \Umathchar, draws an empty box instead of stopping.
LABCHAR = r"\providecommand\labchar[1]{\ifdefined\Umathchar#1\else{\fboxsep=.2em\fbox{}}\fi}%"
HEAD = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{\usepackage{fix-cm}}
\usepackage[paperwidth=WIDTHmm,paperheight=HEIGHTmm,margin=0mm]{geometry}
\usepackage{tikz}
\pagestyle{empty}\parindent=0pt\topskip=0pt\maxdepth=0pt
\begin{document}
\vbox to 0pt{%
"""


TIKZ_ANCHORS = {"start": "base west", "middle": "base", "end": "base east"}


def latex(text: str) -> str:
    r"""`text` for LaTeX: specials escaped; what pdflatex has no letter for goes through \labchar, see LABCHAR."""
    text = clean(text)
    parts = []
    for before, c in zip(" " + text, text):
        if c == before and c in "-,'":  # TeX would make one character of the two
            parts.append("{}")
        parts.append(_letter(c))
    return "".join(parts)


def _letter(c: str) -> str:
    if c in SPECIALS:
        return SPECIALS[c]
    if ord(c) < 0x100 or (ord(c) < 0x180 and c not in NOT_IN_T1):
        return c
    return rf"\labchar{{{c}}}"


def to_tikz(scene: Scene, note: str = "", alone: bool = False) -> str:
    r"""The scene as a tikzpicture for \input (it needs \usepackage{tikz}), or as a document that stands `alone`."""
    width = number(scene.width)
    height = number(scene.height)
    page = f"(0,0) rectangle ({width},{height})"
    lines = [f"% {clean(note)}", LABCHAR]
    lines.append(r"\begin{tikzpicture}[x=1mm,y=1mm,inner sep=0pt,outer sep=0pt]")
    lines.append(rf"\path[use as bounding box] {page};")
    if scene.style.dark:  # white paper is there already
        lines.append(rf"\fill[color={_rgb(scene.style.paper)}] {page};")
    lines += [_tikz(item) for item in scene.items]
    lines.append("\\end{tikzpicture}%\n")
    body = "\n".join(lines)
    if not alone:
        return body
    head = HEAD.replace("WIDTH", width).replace("HEIGHT", height)
    return head + body + "\\vss}\n\\end{document}\n"


def _rgb(color: str) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"{{rgb,255:red,{red};green,{green};blue,{blue}}}"


def _at(x: float, y: float) -> str:
    return f"({number(x)},{number(y)})"


def _tikz(item: Curve | Box | Text) -> str:
    if isinstance(item, Text):
        return _tikz_text(item)
    if isinstance(item, Box):
        return _tikz_box(item)
    return _tikz_curve(item)


def _tikz_text(text: Text) -> str:
    size = number(text.size)
    line = number(1.2 * text.size)
    font = rf"\sffamily\fontsize{{{size}bp}}{{{line}bp}}\selectfont"
    if text.bold:
        font += r"\bfseries"
    place = f"anchor={TIKZ_ANCHORS[text.anchor]},rotate={text.turn}"
    look = f"text={_rgb(text.color)},font={{{font}}}"
    return rf"\node[{place},{look}] at {_at(text.x, text.y)} {{{latex(text.text)}}};"


def _tikz_box(box: Box) -> str:
    look = f"fill={_rgb(box.fill)}"
    if box.stroke:
        look += f",draw={_rgb(box.stroke)},line width={number(box.line)}bp"
    if (
        box.corner
    ):  # a little less than half the height, which TeX, as it rounds, would find too much
        look += f",rounded corners={number(0.995 * box.corner)}mm"
    low = _at(box.x - box.width / 2, box.y - box.height / 2)
    high = _at(box.x + box.width / 2, box.y + box.height / 2)
    return rf"\path[{look}] {low} rectangle {high};"


def _tikz_curve(curve: Curve) -> str:
    color = _rgb(curve.color)
    look = f"color={color},line width={number(curve.width)}bp"
    if curve.dashed:
        on = number(3.2 * curve.width)
        off = number(2 * curve.width)
        look += f",dash pattern=on {on}bp off {off}bp"
    path, *rest = (_at(*point) for point in curve.points)
    for a, b, c in zip(rest[::3], rest[1::3], rest[2::3]):
        path += f" .. controls {a} and {b} .. {c}"
    drawn = rf"\draw[{look}] {path};"
    if curve.head:
        corners = " -- ".join(_at(*corner) for corner in curve.head)
        drawn += rf" \fill[color={color}] {corners} -- cycle;"
    if curve.opacity >= 1:
        return drawn
    # As one group, so that a line and its head do not darken each other where they overlap.
    group = rf"\begin{{scope}}[transparency group,opacity={number(curve.opacity)}]"
    return group + drawn + r"\end{scope}"
