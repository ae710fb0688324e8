"""Files of a picture: the same bytes for the same input, where it came from inside, and drawn again from a file."""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import json
import os
import re
import threading
import warnings
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import matplotlib

from ..errors import ConfigError, DataError, MTLNASError, RunError
from ..storage.safe_files import read
from .axes import CurveFigure
from .graph.build import fusion_graph
from .graph.figure import GraphFigure, GraphGrid
from .graph.html import to_html
from .graph.shapes import Scene, draw
from .graph.svg_tikz import clean, to_svg, to_tikz
from .provenance import provenance
from .sources import opened
from .style import FILES, brief

FORMATS = ("pdf", "svg", "png", "tikz", "html")
MARK, LIMIT = "mtlnas_lab-figure:", 2**26  # bytes of a file that `refigure` reads
MOST_PARTS = 10**6  # lists and dicts of the JSON in such a file
MOST_PIXELS = 10**8  # of a PNG: a poster has 15 million
LONGEST_NAME = 255  # bytes of a file's name, on all common systems
FULL = "make room, or give another folder to write to"
CLOSED = "give a folder to write to, with out"
WRITING = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EACCES: CLOSED,
    errno.EPERM: CLOSED,
    errno.EROFS: CLOSED,
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOTDIR: "give a folder",
    errno.EISDIR: "give another name",
}
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def figure_files(
    figure, formats: Iterable[str] = ("pdf", "svg", "png"), metadata: Mapping | None = None
) -> tuple[dict[str, bytes], dict]:
    """({ending: bytes}, the record of the sidecar) of a picture; what `save_figure` writes."""
    formats, spec, scene = check_formats(formats), _spec(figure), _scene(figure)
    for name in formats:
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
        _lay_out(figure)
    facts = dict(
        metadata or getattr(getattr(figure, "figure", figure), "lab_facts", None) or provenance()
    )
    try:
        told = json.dumps(facts, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"metadata={brief(metadata)} can't be written as JSON ({error}); give text, numbers, "
            "lists and dicts"
        ) from None
    record = {"provenance": json.loads(told), **({"figure": spec.to_json()} if spec else {})}
    packed = base64.b64encode(zlib.compress(json.dumps(record).encode(), 9)).decode()
    notes = scene.notes if scene else getattr(figure, "lab_notes", ())
    note = f"{told} {MARK}{packed}:"
    if notes:
        record["notes"] = list(notes)
        note = f"{json.dumps(notes)} {note}"  # ASCII: a PDF writes other text so that no search finds it
    about = {"title": _title(spec) or "", "notes": "; ".join(notes)}
    files: dict[str, str | bytes] = {}
    if {"pdf", "png"} & set(formats) or scene is None:
        page = figure if scene is None else draw(scene).figure
        files = {
            name: _by_matplotlib(page, name, note, about)
            for name in formats
            if name in ("pdf", "png") or scene is None
        }
    if scene and "svg" in formats:
        files["svg"] = to_svg(scene, note, about["title"] or "Fusion graph")
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
    path, formats = Path(path), check_formats(formats)
    ready(path, formats)
    files, record = figure_files(figure, formats, metadata)
    written = {path.with_name(f"{path.name}.{end}"): data for end, data in files.items()}
    record["files"] = {
        file.name: hashlib.sha256(data).hexdigest() for file, data in written.items()
    }
    sidecar = json.dumps(record, indent=1).encode() + b"\n"
    make_folder(path.parent)
    for file, data in {**written, path.with_name(path.name + ".json"): sidecar}.items():
        put(file, data)
    return list(written)


def check_formats(formats: Iterable[str]) -> tuple[str, ...]:
    """The formats, each once. Raises ConfigError for none, or one there is not."""
    found = tuple(dict.fromkeys((formats,) if isinstance(formats, str) else formats))
    for name in found:
        if name not in FORMATS:
            raise ConfigError(
                f"there is no format {brief(name)}; choose among {', '.join(FORMATS)}"
            )
    if not found:
        raise ConfigError(f"there is no format to write; choose among {', '.join(FORMATS)}")
    return found


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Makes what the system says of a path a RunError of one line, which says what would be right."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        if isinstance(error, MTLNASError):
            raise
        reason = getattr(error, "strerror", None) or error
        number = getattr(error, "errno", None)
        advice = WRITING.get(number, "give another folder or name to write to")
        shown = str(path) if len(str(path)) <= 200 else f"{str(path)[:200]}…"
        raise RunError(f"{shown}: {reason}; {advice}") from None


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it. Raises RunError."""
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)


def put(file: Path, data: bytes) -> None:
    """Puts a file in place as a whole or not at all. Raises RunError."""
    part = _part(file)
    with _told(file):
        try:
            part.write_bytes(data)
            os.replace(part, file)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def _part(file: Path) -> Path:
    return file.with_name(f".{os.getpid()}-{threading.get_ident()}.part")


def ready(path: str | os.PathLike, endings: Iterable[str] = ()) -> None:
    """Raises RunError where `path`.ending can't be written, before there is work: no folder, no right, a long name.

    Leaves nothing behind: it tries a name of that length in the nearest folder that is there.
    """
    path = Path(path)
    names = [f"{path.name}.{end}" for end in (*endings, "json")] if endings else [path.name]
    with _told(path):
        if "\0" in str(path):
            raise ValueError("a name can't hold the character NUL")
        folder = path.parent
        while not os.path.lexists(folder):
            names.append(folder.name)
            folder = folder.parent
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{folder.name} is a file and not a folder")
        for name in names:
            if (folder / name).is_dir() and folder == path.parent:
                raise IsADirectoryError(errno.EISDIR, f"{name} is a folder")
        if max(len(os.fsencode(name)) for name in names) > LONGEST_NAME:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        part = _part(folder / "x")
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        part.unlink()


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
    formats = check_formats(formats)
    ready(Path(out) / name, formats)
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
        os.stat(file)
        data = read(os.path.realpath(file), LIMIT)  # of a link, what it leads to; a plain file only
        if found := re.search(MARK.encode() + rb"([A-Za-z0-9+/=]+):", data):
            data = zlib.decompressobj().decompress(base64.b64decode(found[1]), LIMIT)
        if data.count(b"[") + data.count(b"{") > MOST_PARTS or data.count(b",") > 8 * MOST_PARTS:
            raise ValueError("too many parts")
        figure = json.loads(data)["figure"]
        kind = GraphGrid if "grid" in figure else CurveFigure if "curve" in figure else GraphFigure
        return kind.from_json(figure)
    except MTLNASError as error:
        reason = str(error)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        reason = type(error).__name__
    raise DataError(
        f"{file} holds no fusion graph and no curve that can be drawn ({reason}); give a file that "
        "save_figure wrote of one"
    )


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


def _lay_out(figure) -> None:
    """Gives a figure its final layout, the same in every format. Raises ConfigError where labels leave no room."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "constrained_layout not applied")
        try:
            figure.canvas.draw()
        except UserWarning as error:
            if "constrained_layout" not in str(error):
                raise
            width, height = (25.4 * inches for inches in figure.get_size_inches())
            raise ConfigError(
                f"{width:.0f} × {height:.0f} mm leave no room for a picture beside its labels; take a "
                "wider style, or a greater height"
            ) from None
    figure.set_layout_engine("none")


def _title(spec) -> str | None:
    """The title that a person gave, in full."""
    if isinstance(spec, CurveFigure):
        return spec.options.get("title")
    return spec.title if isinstance(spec, GraphFigure) else None


def _by_matplotlib(figure, name: str, note: str, about: Mapping) -> bytes:
    stream = io.BytesIO()
    metadata = {
        "pdf": {"Subject": note, "CreationDate": None},
        "svg": {"Description": note, "Date": None},
        "png": {"mtlnas_lab": note},
    }[name]
    if about["title"]:
        metadata["Title"] = clean(about["title"])
    if about["notes"] and name != "svg":
        metadata[{"pdf": "Keywords", "png": "Description"}[name]] = clean(about["notes"])
    dpi = getattr(figure, "lab_dpi", figure.dpi)
    width, height = (round(dpi * inches) for inches in figure.get_size_inches())
    if name == "png" and width * height > MOST_PIXELS:
        raise ConfigError(
            f"a PNG of {width} × {height} pixels is too large; make the figure smaller, take a style "
            "with fewer dots per inch, or write pdf and svg only"
        )
    with matplotlib.rc_context(FILES):
        figure.savefig(
            stream,
            format=name,
            metadata=metadata,
            dpi=dpi,
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
