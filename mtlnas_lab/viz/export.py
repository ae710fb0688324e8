"""Files of a picture: the same bytes for the same input, with where it came from inside, and drawn again from a file."""
from __future__ import annotations

import base64
import binascii
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

from ..errors import ConfigError, DataError
from ..events import EventLog
from ..runs import Run
from .geometry import GraphFigure, GraphGrid
from .graph import fusion_graph
from .scene import Scene, draw
from .vector import to_svg, to_tikz

FORMATS = ("pdf", "svg", "png", "tikz", "html")
MARK, LIMIT = b"mtlnas_lab-figure:", 2**26
SVG = "http://www.w3.org/2000/svg"


def provenance(source=None, **more) -> dict:
    """Where a picture comes from: run, hash of its config, seed, step and versions, as far as the source knows them."""
    found: dict = {"package": "mtlnas_lab", "versions": {name: packages.version(name) for name in ("matplotlib", "networkx")}}
    if isinstance(source, (str, Path)):
        source = Run.open(source)
    log = source.log if isinstance(source, Run) else source
    if isinstance(source, Run):
        found["run"] = source.path.resolve().name
    if isinstance(log, EventLog) and log.started:
        config = json.dumps(log.started.config, sort_keys=True).encode()
        found |= {"config": hashlib.sha256(config).hexdigest()[:16], "seed": log.started.config.get("seed"),
                  "versions": {**log.started.versions, **found["versions"]}}
        if log.steps:
            found["step"] = log.steps[-1].step
    return {**found, **more}


def save_figure(figure, path: str | os.PathLike, formats: Iterable[str] = ("pdf", "svg", "png"),
                metadata: Mapping | None = None) -> list[Path]:
    """Write `path`.pdf, `path`.svg, … of a GraphFigure or GraphGrid, or of matplotlib axes or a figure, and the sidecar `path`.json.

    formats: pdf (fonts embedded, type 42), svg (real text; ids and titles for nodes and edges), png, and for fusion graphs
    tikz (`path`.tikz for \\input and `path`.tex that stands alone) and html (interactive, one file, no network). `metadata`
    goes into every file, see `provenance`. Returns the files. Raises ConfigError for a format there is not.
    """
    formats, path = tuple(formats), Path(path)
    if unknown := [f for f in formats if f not in FORMATS]:
        raise ConfigError(f"there is no format {unknown[0]!r}; choose among {', '.join(FORMATS)}")
    scene = _scene(figure)
    for name in formats:
        if name == "tikz" and scene is None or name == "html" and not (scene and isinstance(scene.spec, GraphFigure)):
            raise ConfigError(f"only a fusion graph can be written as {name}; take pdf, svg or png for this figure")
    facts = dict(metadata or provenance())
    record = {"provenance": facts, **({"figure": scene.spec.to_json(), "size": [scene.width, scene.height]} if scene else {})}
    note = _note(record)
    artist = draw(scene).figure if scene and {"pdf", "png"} & set(formats) else getattr(figure, "figure", figure)
    written = {}
    for name in formats:
        if name in ("pdf", "png") or not scene:
            written[path.with_name(f"{path.name}.{name}")] = _by_matplotlib(artist, name, note)
        elif name == "tikz":
            written[path.with_name(path.name + ".tikz")] = to_tikz(scene, note).encode()
            written[path.with_name(path.name + ".tex")] = to_tikz(scene, note, alone=True).encode()
        elif name == "svg":
            written[path.with_name(path.name + ".svg")] = to_svg(scene, note).encode()
        else:
            from .web import to_html
            written[path.with_name(path.name + ".html")] = to_html(scene, note, facts).encode()
    record["files"] = {file.name: hashlib.sha256(data).hexdigest() for file, data in written.items()}
    written[path.with_name(path.name + ".json")] = json.dumps(record, indent=1, sort_keys=True).encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    for file, data in written.items():
        part = file.with_name(f".{file.name}.{os.getpid()}")
        part.write_bytes(data)
        os.replace(part, file)
    return list(written)[:-1]


def save_fusion_graph(source, out: str | os.PathLike, formats: Sequence[str] = ("pdf", "svg", "png"), *, style="paper-single",
                      name: str = "fusion_graph", alpha=None, split: bool = False, metadata: Mapping | None = None, **look) -> list[Path]:
    """The fusion graph of a run, its folder, an architecture, a log or a space, as `out`/fusion_graph.pdf and so on.

    look: as for `plot_fusion_graph`. Returns the files written; a sidecar fusion_graph.json stands beside them.
    """
    figure = GraphFigure(fusion_graph(source, alpha, split=split), style, **look)
    return save_figure(figure, Path(out) / name, formats, metadata or provenance(source))


def refigure(file: str | os.PathLike) -> GraphFigure | GraphGrid:
    """What a file of `save_figure` (any format, or its sidecar) shows, to be drawn again or in another style.

    Reads data only. Raises DataError for a file that holds no fusion graph.
    """
    with open(file, "rb") as stream:
        data = stream.read(LIMIT)
    try:
        if found := re.search(re.escape(MARK) + rb"([A-Za-z0-9+/=]+):", data):
            data = zlib.decompressobj().decompress(base64.b64decode(found[1]), LIMIT)
        figure = json.loads(data)["figure"]
        return (GraphGrid if "grid" in figure else GraphFigure).from_json(figure)
    except (ValueError, KeyError, TypeError, RecursionError, zlib.error, binascii.Error, ConfigError) as error:
        raise DataError(f"{file} holds no fusion graph of this lab ({type(error).__name__}); give a file that save_figure "
                        "wrote of one") from None


def _note(record: Mapping) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(record, sort_keys=True).encode(), 9)).decode()
    return f"{json.dumps(record['provenance'], sort_keys=True)} {MARK.decode()}{packed}:"


def _scene(figure) -> Scene | None:
    if isinstance(figure, (GraphFigure, GraphGrid)):
        return figure.scene()
    scene = getattr(figure, "fusion_scene", None)
    return scene if scene is not None and len(figure.figure.axes) == 1 else None


def _by_matplotlib(figure, name: str, note: str) -> bytes:
    import matplotlib

    stream = io.BytesIO()
    facts = {"pdf": {"Subject": note, "CreationDate": None}, "svg": {"Description": note, "Date": None}, "png": {"mtlnas_lab": note}}
    with matplotlib.rc_context({"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "mtlnas_lab", "path.simplify": True}):
        figure.savefig(stream, format=name, metadata=facts[name], dpi=getattr(figure, "lab_dpi", figure.dpi), facecolor=figure.get_facecolor())
    data = stream.getvalue()
    return _titled(data, figure) if name == "svg" else data


def _titled(svg: bytes, figure) -> bytes:
    """The SVG with a <title> for each artist that has an id and a label."""
    titles = {a.get_gid(): str(a.get_label()) for a in figure.findobj() if a.get_gid() and not str(a.get_label()).startswith("_")}
    if not titles:
        return svg
    for prefix, address in (("", SVG), ("xlink", "http://www.w3.org/1999/xlink")):
        ET.register_namespace(prefix, address)
    root = ET.fromstring(svg)
    for element in root.iter():
        if element.get("id") in titles:
            title = ET.Element(f"{{{SVG}}}title")
            title.text = titles[element.get("id")]
            element.insert(0, title)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)
