"""A scene as SVG and as TikZ: written here, without matplotlib and without LaTeX."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from ..style import PT
from .shapes import Box, Curve, Scene, Text

CONTROL = re.compile(r"[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def number(value: float) -> str:
    """At most three digits behind the point: a micrometre."""
    return f"{round(value, 3) + 0.0:.3f}".rstrip("0").rstrip(".")


def clean(text: str) -> str:
    """Without the control characters that no XML and no TeX file may hold."""
    return CONTROL.sub("\ufffd", text)


# --- SVG --------------------------------------------------------------------------------------------------------------
def to_svg(scene: Scene, note: str = "", title: str = "Fusion graph") -> str:
    """The scene as an SVG file: real text, an id and a <title> for each node and edge, `note` as its metadata."""
    width, height = number(scene.width), number(scene.height)
    body = "\n".join(_svg(item, lambda y: number(scene.height - y)) for item in scene.items)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="\'DejaVu Sans\', Verdana, sans-serif">\n'
        f'<title>{escape(clean(title))}</title>\n<metadata id="mtlnas_lab">{escape(clean(note))}</metadata>\n'
        f'<rect id="paper" width="{width}" height="{height}" fill="{scene.style.paper}"/>\n{body}\n</svg>\n'
    )


def _svg(item: Curve | Box | Text, flip) -> str:
    tag = f" id={quoteattr(item.id)}" if item.id else ""
    if isinstance(item, Text):
        x, y = number(item.x), flip(item.y)
        more = (' font-weight="bold"' if item.bold else "") + (
            f' transform="rotate(-90 {x} {y})"' if item.turn else ""
        )
        return (
            f'<text{tag} x="{x}" y="{y}" font-size="{number(item.size * PT)}" fill="{item.color}" '
            f'text-anchor="{item.anchor}" pointer-events="none"{more}>{escape(clean(item.text))}</text>'
        )
    title = f"<title>{escape(clean(item.title))}</title>" if item.title else ""
    if isinstance(item, Box):
        x, y = number(item.x - item.width / 2), flip(item.y + item.height / 2)
        more = f' rx="{number(item.corner)}"' if item.corner else ""
        more += (
            f' stroke="{item.stroke}" stroke-width="{number(item.line * PT)}"'
            if item.stroke
            else ""
        )
        return (
            f'<rect{tag} x="{x}" y="{y}" width="{number(item.width)}" height="{number(item.height)}" '
            f'fill="{item.fill}"{more}>{title}</rect>'
        )
    first, *others = (f"{number(x)} {flip(y)}" for x, y in item.points)
    width = item.width * PT
    more = f' stroke-dasharray="{number(3.2 * width)} {number(2 * width)}"' if item.dashed else ""
    corners = "L".join(f"{number(x)} {flip(y)}" for x, y in item.head or ())
    head = f'<path d="M{corners}Z" fill="{item.color}"/>' if item.head else ""
    opacity = f' opacity="{number(item.opacity)}"' if item.opacity < 1 else ""
    return (
        f'<g{tag}{opacity}>{title}<path d="M{first}C{" ".join(others)}" fill="none" stroke="{item.color}" '
        f'stroke-width="{number(width)}"{more}/>{head}</g>'
    )


# --- TikZ -------------------------------------------------------------------------------------------------------------
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
    **{
        c: rf"\ensuremath{{{m}}}"
        for c, m in {
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
        }.items()
    },
}


NOT_IN_T1 = "ĦħĸĿŀŉŦŧ"  # letters below U+0180 that \\usepackage[T1]{fontenc} lacks


LABCHAR = r"\providecommand\labchar[1]{\ifdefined\Umathchar#1\else{\fboxsep=.2em\fbox{}}\fi}%"  # or an empty box


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


def latex(text: str) -> str:
    r"""`text` for LaTeX: specials escaped; what pdflatex has no letter for goes through \labchar, see LABCHAR."""
    text, parts = clean(text), []
    for before, c in zip(" " + text, text):
        if c == before and c in "-,'":  # TeX would make one character of the two
            parts.append("{}")
        parts.append(_letter(c))
    return "".join(parts)


def _letter(c: str) -> str:
    if c in SPECIALS:
        return SPECIALS[c]
    known = ord(c) < 0x100 or (ord(c) < 0x180 and c not in NOT_IN_T1)
    return c if known else rf"\labchar{{{c}}}"


def to_tikz(scene: Scene, note: str = "", alone: bool = False) -> str:
    r"""The scene as a tikzpicture for \input (it needs \usepackage{tikz}), or as a document that stands `alone`."""
    size = f"(0,0) rectangle ({number(scene.width)},{number(scene.height)})"
    paper = [rf"\fill[color={_rgb(scene.style.paper)}] {size};"] if scene.style.dark else []
    body = "\n".join(
        [
            f"% {clean(note)}",
            LABCHAR,
            r"\begin{tikzpicture}[x=1mm,y=1mm,inner sep=0pt,outer sep=0pt]",
            rf"\path[use as bounding box] {size};",
            *paper,
            *map(_tikz, scene.items),
            r"\end{tikzpicture}%",
            "",
        ]
    )
    head = HEAD.replace("WIDTH", number(scene.width)).replace("HEIGHT", number(scene.height))
    return head + body + "\\vss}\n\\end{document}\n" if alone else body


def _rgb(color: str) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"{{rgb,255:red,{red};green,{green};blue,{blue}}}"


def _at(x: float, y: float) -> str:
    return f"({number(x)},{number(y)})"


def _tikz(item: Curve | Box | Text) -> str:
    if isinstance(item, Text):
        anchor = {"start": "base west", "middle": "base", "end": "base east"}[item.anchor]
        font = rf"\sffamily\fontsize{{{number(item.size)}bp}}{{{number(1.2 * item.size)}bp}}\selectfont"
        font += r"\bfseries" if item.bold else ""
        return (
            rf"\node[anchor={anchor},rotate={item.turn},text={_rgb(item.color)},font={{{font}}}] "
            rf"at {_at(item.x, item.y)} {{{latex(item.text)}}};"
        )
    if isinstance(item, Box):
        more = f",draw={_rgb(item.stroke)},line width={number(item.line)}bp" if item.stroke else ""
        more += f",rounded corners={number(0.995 * item.corner)}mm" if item.corner else ""
        low, high = (
            _at(item.x + s * item.width / 2, item.y + s * item.height / 2) for s in (-1, 1)
        )
        return rf"\path[fill={_rgb(item.fill)}{more}] {low} rectangle {high};"
    color, first, *p = _rgb(item.color), *(_at(*point) for point in item.points)
    curve = first + "".join(
        f" .. controls {a} and {b} .. {c}" for a, b, c in zip(p[::3], p[1::3], p[2::3])
    )
    on, off = number(3.2 * item.width), number(2 * item.width)
    more = f",dash pattern=on {on}bp off {off}bp" if item.dashed else ""
    line = rf"\draw[color={color},line width={number(item.width)}bp{more}] {curve};"
    if item.head:
        line += (
            rf" \fill[color={color}] {' -- '.join(_at(*corner) for corner in item.head)} -- cycle;"
        )
    group = rf"\begin{{scope}}[transparency group,opacity={number(item.opacity)}]"
    return group + line + r"\end{scope}" if item.opacity < 1 else line
