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
from importlib import metadata as packages
from pathlib import Path

import matplotlib

from ..errors import ConfigError, DataError
from ..events import EventLog
from ..runs import Run
from .geometry import GraphFigure, GraphGrid
from .graph import fusion_graph
from .scene import Scene, draw
from .style import FILES
from .vector import to_svg, to_tikz
from .web import to_html

FORMATS = ("pdf", "svg", "png", "tikz", "html")
MARK, LIMIT = "mtlnas_lab-figure:", 2**26                          # bytes of a file that `refigure` reads
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def provenance(source=None, **more) -> dict:
    """Where a picture comes from: run, hash of its config, seed, step and versions, as far as the source knows them."""
    found: dict = {"package": "mtlnas_lab", "versions": {p: packages.version(p) for p in ("matplotlib", "networkx")}}
    if isinstance(source, (str, Path)):
        source = Run.open(source)
    if isinstance(source, Run):
        found["run"], source = source.path.resolve().name, source.log
    if isinstance(source, EventLog) and source.started:
        config = source.started.config
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]
        found |= {"config": digest, "seed": config.get("seed"), "step": source.steps[-1].step if source.steps else 0,
                  "versions": {**source.started.versions, **found["versions"]}}
    return {**found, **more}


def save_figure(figure, path: str | os.PathLike, formats: Iterable[str] = ("pdf", "svg", "png"),
                metadata: Mapping | None = None) -> list[Path]:
    """Write `path`.pdf, `path`.svg, … of a GraphFigure or GraphGrid, or of axes or a figure of matplotlib.

    formats: pdf (fonts embedded, type 42), svg (real text; ids and titles for nodes and edges), png, and for fusion
    graphs tikz (`path`.tikz for \\input, `path`.tex that stands alone) and html (interactive, one file, no network).
    `metadata` (see `provenance`) goes into every file and into the sidecar `path`.json, which is not in the list of
    files that is returned. Raises ConfigError for a format there is not, or not of this figure.
    """
    formats, path, scene = tuple(formats), Path(path), _scene(figure)
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"there is no format {name!r}; choose among {', '.join(FORMATS)}")
        if name == "tikz" and scene is None or name == "html" and not (scene and isinstance(scene.spec, GraphFigure)):
            raise ConfigError(f"only a fusion graph can be written as {name}; take pdf, svg or png for this figure")
    facts = dict(metadata or provenance())
    record = {"provenance": facts, **({"figure": scene.spec.to_json()} if scene else {})}
    packed = base64.b64encode(zlib.compress(json.dumps(record, sort_keys=True).encode(), 9)).decode()
    note = f"{json.dumps(facts, sort_keys=True)} {MARK}{packed}:"
    files: dict[str, str | bytes] = {}
    if {"pdf", "png"} & set(formats) or not scene:
        figure = draw(scene).figure if scene else getattr(figure, "figure", None) or figure
        if not scene:
            figure.canvas.draw()
            figure.set_layout_engine("none")                       # the layout it has now, in every format
        files = {name: _by_matplotlib(figure, name, note) for name in formats if name in ("pdf", "png") or not scene}
    if scene and "svg" in formats:
        files["svg"] = to_svg(scene, note)
    if "tikz" in formats:
        files |= {"tikz": to_tikz(scene, note), "tex": to_tikz(scene, note, alone=True)}
    if "html" in formats:
        files["html"] = to_html(scene, note, facts)
    written = {path.with_name(f"{path.name}.{end}"): data.encode() if isinstance(data, str) else data
               for end, data in files.items()}
    record["files"] = {file.name: hashlib.sha256(data).hexdigest() for file, data in written.items()}
    sidecar = json.dumps(record, indent=1, sort_keys=True).encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    for file, data in {**written, path.with_name(path.name + ".json"): sidecar}.items():
        part = file.with_name(f".{file.name}.{os.getpid()}")
        part.write_bytes(data)
        os.replace(part, file)
    return list(written)


def save_fusion_graph(source, out: str | os.PathLike, formats: Sequence[str] = ("pdf", "svg", "png"), *,
                      style="paper-single", name: str = "fusion_graph", alpha=None, split: bool = False,
                      metadata: Mapping | None = None, **look) -> list[Path]:
    """The fusion graph of a run, its folder, an architecture, a log or a space, as `out`/fusion_graph.pdf and so on.

    look: as for `plot_fusion_graph`. Returns the files written; a sidecar fusion_graph.json stands beside them.
    """
    figure = GraphFigure(fusion_graph(source, alpha, split=split), style, **look)
    return save_figure(figure, Path(out) / name, formats, metadata or provenance(source))


def refigure(file: str | os.PathLike) -> GraphFigure | GraphGrid:
    """What a file of `save_figure` (any format, or its sidecar) shows, to be drawn again or in another style.

    Reads data only. Raises DataError for a file that holds no fusion graph.
    """
    try:
        with open(file, "rb") as stream:
            data = stream.read(LIMIT)
        if found := re.search(MARK.encode() + rb"([A-Za-z0-9+/=]+):", data):
            data = zlib.decompressobj().decompress(base64.b64decode(found[1]), LIMIT)
        figure = json.loads(data)["figure"]
        return (GraphGrid if "grid" in figure else GraphFigure).from_json(figure)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise DataError(f"{file} holds no fusion graph that can be read ({type(error).__name__}); give a file that "
                        "save_figure wrote of one") from None


def _scene(figure) -> Scene | None:
    if isinstance(figure, (GraphFigure, GraphGrid)):
        return figure.scene()
    scene = getattr(figure, "fusion_scene", None)                  # axes that `plot_fusion_graph` filled
    return scene if scene is not None and len(figure.figure.axes) == 1 else None


def _by_matplotlib(figure, name: str, note: str) -> bytes:
    stream = io.BytesIO()
    metadata = {"pdf": {"Subject": note, "CreationDate": None}, "svg": {"Description": note, "Date": None},
                "png": {"mtlnas_lab": note}}[name]
    with matplotlib.rc_context(FILES):
        figure.savefig(stream, format=name, metadata=metadata, dpi=getattr(figure, "lab_dpi", figure.dpi),
                       facecolor=figure.get_facecolor())
    return _titled(stream.getvalue(), figure) if name == "svg" else stream.getvalue()


def _titled(svg: bytes, figure) -> bytes:
    """The SVG with a <title> for each artist that has an id and a label."""
    titles = {artist.get_gid(): str(artist.get_label()) for artist in figure.findobj()
              if artist.get_gid() and not str(artist.get_label()).startswith("_")}
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    root = ET.fromstring(svg)
    for element in root.iter():
        if element.get("id") in titles:
            title = ET.Element(f"{{{SVG}}}title")
            title.text = titles[element.get("id")]
            element.insert(0, title)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)
