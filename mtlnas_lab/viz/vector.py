"""A scene as SVG and as TikZ: text of its own, without matplotlib and without LaTeX."""
from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from .scene import Box, Curve, Scene, Text
from .style import PT

SVG_FONTS = "'DejaVu Sans', Verdana, sans-serif"


def number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".").replace("-0", "0") if abs(value) < 5e-4 else f"{value:.3f}".rstrip("0").rstrip(".")


def clean(text: str) -> str:
    """Without the control characters that no XML and no TeX file may hold."""
    return re.sub(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


# --- SVG ----------------------------------------------------------------------------------------------------------------
def to_svg(scene: Scene, note: str = "", title: str = "Fusion graph") -> str:
    """The scene as an SVG file: real text, an id and a <title> for each node and edge, `note` as its metadata."""
    flip = lambda y: number(scene.height - y)  # noqa: E731
    width, height = number(scene.width), number(scene.height)
    body = "\n".join(_svg_item(item, flip) for item in scene.items)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" viewBox="0 0 {width} {height}" '
            f'role="img" font-family="{SVG_FONTS}">\n<title>{escape(clean(title))}</title>\n'
            f'<metadata id="mtlnas_lab">{escape(clean(note))}</metadata>\n'
            f'<rect id="paper" width="{width}" height="{height}" fill="{scene.style.paper}"/>\n{body}\n</svg>\n')


def _svg_item(item: Curve | Box | Text, flip) -> str:
    if isinstance(item, Text):
        x, y = number(item.x), flip(item.y)
        turn = f' transform="rotate(-90 {x} {y})"' if item.turn else ""
        return (f'<text{_id(item)} x="{x}" y="{y}" font-size="{number(item.size * PT)}" fill="{item.color}" '
                f'text-anchor="{item.anchor}"{" font-weight=" + quoteattr("bold") if item.bold else ""}{turn}>'
                f'{escape(clean(item.text))}</text>')
    title = f"<title>{escape(clean(item.title))}</title>" if item.title else ""
    if isinstance(item, Box):
        corner = f' rx="{number(item.corner)}"' if item.corner else ""
        stroke = f' stroke="{item.stroke}" stroke-width="{number(item.line * PT)}"' if item.stroke else ""
        return (f'<rect{_id(item)} x="{number(item.x - item.width / 2)}" y="{flip(item.y + item.height / 2)}" '
                f'width="{number(item.width)}" height="{number(item.height)}"{corner} fill="{item.fill}"{stroke}>{title}</rect>')
    point = lambda p: f"{number(p[0])} {flip(p[1])}"  # noqa: E731
    path = f"M{point(item.points[0])}C{' '.join(point(p) for p in item.points[1:])}"
    width = item.width * PT
    dashes = f' stroke-dasharray="{number(3.2 * width)} {number(2 * width)}"' if item.dashed else ""
    head = f'<path d="M{"L".join(point(p) for p in item.head)}Z" fill="{item.color}"/>' if item.head else ""
    opacity = f' opacity="{number(item.opacity)}"' if item.opacity < 1 else ""
    return (f'<g{_id(item)}{opacity}>{title}<path d="{path}" fill="none" stroke="{item.color}" '
            f'stroke-width="{number(width)}"{dashes}/>{head}</g>')


def _id(item) -> str:
    return f" id={quoteattr(item.id)}" if item.id else ""


# --- TikZ ---------------------------------------------------------------------------------------------------------------
SPECIALS = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
            "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "σ": r"\ensuremath{\sigma}", "α": r"\ensuremath{\alpha}",
            "λ": r"\ensuremath{\lambda}", "Δ": r"\ensuremath{\Delta}", "→": r"\ensuremath{\to}", "…": r"\ldots{}", "<": r"\ensuremath{<}", '"': "''",
            ">": r"\ensuremath{>}", "|": r"\ensuremath{|}", "−": r"\ensuremath{-}", "\n": " ", "\t": " ", "\r": " "}
HEAD = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{\usepackage{fix-cm}}
\usepackage[paperwidth=%smm,paperheight=%smm,margin=0mm]{geometry}
\usepackage{tikz}
\pagestyle{empty}\parindent=0pt\topskip=0pt\maxdepth=0pt
\begin{document}
\vbox to 0pt{%%
"""


def latex(text: str) -> str:
    """`text` for LaTeX: specials escaped; what pdflatex has no letter for is written as its code, e.g. U+1F600."""
    return "".join(SPECIALS.get(c) or (c if ord(c) < 0x180 else rf"\labchar{{{c}}}{{U+{ord(c):04X}}}") for c in clean(text))


def to_tikz(scene: Scene, note: str = "", alone: bool = False) -> str:
    r"""The scene as a tikzpicture for \input (its only need is \usepackage{tikz}), or as a document that stands `alone`."""
    color = lambda c: "{rgb,255:red,%d;green,%d;blue,%d}" % tuple(int(c[i:i + 2], 16) for i in (1, 3, 5))  # noqa: E731
    width, height = number(scene.width), number(scene.height)
    lines = [f"% {clean(note)}", r"\providecommand\labchar[2]{\ifdefined\Umathchar#1\else#2\fi}%",
             r"\begin{tikzpicture}[x=1mm,y=1mm,inner sep=0pt,outer sep=0pt]",
             rf"\path[use as bounding box] (0,0) rectangle ({width},{height});"]
    if scene.style.dark:
        lines.append(rf"\fill[color={color(scene.style.paper)}] (0,0) rectangle ({width},{height});")
    lines += [_tikz_item(item, color) for item in scene.items]
    lines.append(r"\end{tikzpicture}%")
    body = "\n".join(lines) + "\n"
    return HEAD % (width, height) + body + "\\vss}\n\\end{document}\n" if alone else body


def _tikz_item(item: Curve | Box | Text, color) -> str:
    point = lambda p: f"({number(p[0])},{number(p[1])})"  # noqa: E731
    if isinstance(item, Text):
        anchor = {"start": "base west", "middle": "base", "end": "base east"}[item.anchor]
        font = rf"\sffamily\fontsize{{{number(item.size)}bp}}{{{number(1.2 * item.size)}bp}}\selectfont" + (r"\bfseries" if item.bold else "")
        return (rf"\node[anchor={anchor},rotate={item.turn},text={color(item.color)},font={{{font}}}] at {point((item.x, item.y))} "
                rf"{{{latex(item.text)}}};")
    if isinstance(item, Box):
        stroke = f",draw={color(item.stroke)},line width={number(item.line)}bp" if item.stroke else ""
        corner = f",rounded corners={number(item.corner * 0.995)}mm" if item.corner else ""
        low, high = ((item.x + s * item.width / 2, item.y + s * item.height / 2) for s in (-1, 1))
        return rf"\path[fill={color(item.fill)}{stroke}{corner}] {point(low)} rectangle {point(high)};"
    p, dashes = item.points, ""
    if item.dashed:
        dashes = f",dash pattern=on {number(3.2 * item.width)}bp off {number(2 * item.width)}bp"
    path = point(p[0]) + "".join(f" .. controls {point(p[i])} and {point(p[i + 1])} .. {point(p[i + 2])}" for i in range(1, len(p), 3))
    head = rf" \fill[color={color(item.color)}] {' -- '.join(map(point, item.head))} -- cycle;" if item.head else ""
    return (rf"\begin{{scope}}[transparency group,opacity={number(item.opacity)}]\draw[color={color(item.color)},line width="
            rf"{number(item.width)}bp{dashes}] {path};{head}\end{{scope}}") if item.opacity < 1 else (
            rf"\draw[color={color(item.color)},line width={number(item.width)}bp{dashes}] {path};{head}")
