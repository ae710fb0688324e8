"""Files of a picture: the same bytes for the same input, where it came from inside, and drawn again from a file."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib

from ..errors import ConfigError, DataError
from .axes import CurveFigure
from .facts import provenance
from .geometry import GraphFigure, GraphGrid
from .graph import fusion_graph, opened
from .scene import Scene, draw
from .style import FILES
from .vector import to_svg, to_tikz
from .web import to_html

FORMATS = ("pdf", "svg", "png", "tikz", "html")
MARK, LIMIT = "mtlnas_lab-figure:", 2**26  # bytes of a file that `refigure` reads
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def figure_files(
    figure, formats: Iterable[str] = ("pdf", "svg", "png"), metadata: Mapping | None = None
) -> tuple[dict[str, bytes], dict]:
    """({ending: bytes}, the record of the sidecar) of a picture; what `save_figure` writes."""
    formats, spec, scene = tuple(formats), _spec(figure), _scene(figure)
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"there is no format {name!r}; choose among {', '.join(FORMATS)}")
        if name == "tikz" and scene is None or name == "html" and not isinstance(spec, GraphFigure):
            raise ConfigError(
                f"only a fusion graph can be written as {name}; take pdf, svg or png for this figure"
            )
    if scene is None:
        figure = (
            figure.plot().figure
            if isinstance(figure, CurveFigure)
            else getattr(figure, "figure", None) or figure
        )
        figure.canvas.draw()
        figure.set_layout_engine("none")  # the layout it has now, in every format
    facts = dict(
        metadata or getattr(getattr(figure, "figure", figure), "lab_facts", None) or provenance()
    )
    told = json.dumps(facts, sort_keys=True)
    record = {"provenance": json.loads(told), **({"figure": spec.to_json()} if spec else {})}
    packed = base64.b64encode(zlib.compress(json.dumps(record).encode(), 9)).decode()
    note = f"{told} {MARK}{packed}:"
    files: dict[str, str | bytes] = {}
    if {"pdf", "png"} & set(formats) or scene is None:
        page = figure if scene is None else draw(scene).figure
        files = {
            name: _by_matplotlib(page, name, note)
            for name in formats
            if name in ("pdf", "png") or scene is None
        }
    if scene and "svg" in formats:
        files["svg"] = to_svg(scene, note)
    if "tikz" in formats:
        files |= {"tikz": to_tikz(scene, note), "tex": to_tikz(scene, note, alone=True)}
    if "html" in formats:
        files["html"] = to_html(scene, note, facts)
    return {
        end: data.encode() if isinstance(data, str) else data for end, data in files.items()
    }, record


def save_figure(
    figure,
    path: str | os.PathLike,
    formats: Iterable[str] = ("pdf", "svg", "png"),
    metadata: Mapping | None = None,
) -> list[Path]:
    """Write `path`.pdf, `path`.svg, … of a GraphFigure, GraphGrid or CurveFigure, or of axes or a figure of matplotlib.

    formats: pdf (fonts embedded, type 42), svg (real text; ids and titles for nodes and edges), png, and for fusion
    graphs tikz (`path`.tikz for \\input, `path`.tex that stands alone) and html (interactive, one file, no network).
    `metadata` (see `provenance`) goes into every file and into the sidecar `path`.json, which is not in the list of
    files that is returned. Raises ConfigError for a format there is not, or not of this figure.
    """
    path = Path(path)
    files, record = figure_files(figure, formats, metadata)
    written = {path.with_name(f"{path.name}.{end}"): data for end, data in files.items()}
    record["files"] = {
        file.name: hashlib.sha256(data).hexdigest() for file, data in written.items()
    }
    sidecar = json.dumps(record, indent=1).encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    for file, data in {**written, path.with_name(path.name + ".json"): sidecar}.items():
        part = file.with_name(f".{file.name}.{os.getpid()}")
        part.write_bytes(data)
        os.replace(part, file)
    return list(written)


def save_fusion_graph(
    source,
    out: str | os.PathLike,
    formats: Sequence[str] = ("pdf", "svg", "png"),
    *,
    style="paper-single",
    name: str = "fusion_graph",
    alpha=None,
    step: int | None = None,
    split: bool = False,
    metadata: Mapping | None = None,
    **look,
) -> list[Path]:
    """The fusion graph of a run, its folder, an architecture, a log or a space, as `out`/fusion_graph.pdf and so on.

    look: as for `plot_fusion_graph`. Returns the files written; a sidecar fusion_graph.json stands beside them.
    """
    source = opened(source)
    figure = GraphFigure(fusion_graph(source, alpha, step=step, split=split), style, **look)
    facts = metadata or provenance(source, **({} if step is None else {"step": step}))
    return save_figure(figure, Path(out) / name, formats, facts)


def refigure(file: str | os.PathLike) -> GraphFigure | GraphGrid | CurveFigure:
    """What a file of `save_figure` (any format, or its sidecar) shows, to be drawn again or in another style, as by
    `save_figure(replace(refigure("a.pdf"), style="slide"), "b")`.

    Reads data only. Raises DataError for a file that holds neither a fusion graph nor a curve.
    """
    try:
        with open(file, "rb") as stream:
            data = stream.read(LIMIT)
        if found := re.search(MARK.encode() + rb"([A-Za-z0-9+/=]+):", data):
            data = zlib.decompressobj().decompress(base64.b64decode(found[1]), LIMIT)
        figure = json.loads(data)["figure"]
        kind = GraphGrid if "grid" in figure else CurveFigure if "curve" in figure else GraphFigure
        return kind.from_json(figure)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise DataError(
            f"{file} holds no fusion graph and no curve that can be drawn ({type(error).__name__}); give a "
            "file that save_figure wrote of one"
        ) from None


def _spec(figure) -> GraphFigure | GraphGrid | CurveFigure | None:
    """What a picture shows, where that is known."""
    if isinstance(figure, (GraphFigure, GraphGrid, CurveFigure)):
        return figure
    scene = _scene(figure)
    return (
        scene.spec
        if scene
        else getattr(getattr(figure, "figure", None) or figure, "lab_spec", None)
    )


def _scene(figure) -> Scene | None:
    if isinstance(figure, (GraphFigure, GraphGrid)):
        return figure.scene()
    scene = getattr(figure, "fusion_scene", None)  # axes that `plot_fusion_graph` filled
    return scene if scene is not None and len(figure.figure.axes) == 1 else None


def _by_matplotlib(figure, name: str, note: str) -> bytes:
    stream = io.BytesIO()
    metadata = {
        "pdf": {"Subject": note, "CreationDate": None},
        "svg": {"Description": note, "Date": None},
        "png": {"mtlnas_lab": note},
    }[name]
    with matplotlib.rc_context(FILES):
        figure.savefig(
            stream,
            format=name,
            metadata=metadata,
            dpi=getattr(figure, "lab_dpi", figure.dpi),
            facecolor=figure.get_facecolor(),
        )
    return _titled(stream.getvalue(), figure) if name == "svg" else stream.getvalue()


def _titled(svg: bytes, figure) -> bytes:
    """The SVG with a <title> for each artist that has an id and a label."""
    titles = {
        artist.get_gid(): str(artist.get_label())
        for artist in figure.findobj()
        if artist.get_gid() and not str(artist.get_label()).startswith("_")
    }
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    root = ET.fromstring(svg)
    for element in root.iter():
        if element.get("id") in titles:
            title = ET.Element(f"{{{SVG}}}title")
            title.text = titles[element.get("id")]
            element.insert(0, title)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)
