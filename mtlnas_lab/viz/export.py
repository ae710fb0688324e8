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
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import matplotlib

from ..errors import ConfigError, DataError, MTLNASError, RunError
from ..one_line import os_errors_as
from ..storage.safe_files import read
from .axes import CurveFigure
from .graph.build import fusion_graph
from .graph.figure import GraphFigure, GraphGrid
from .graph.html import to_html
from .graph.shapes import draw
from .graph.svg_tikz import clean, to_svg, to_tikz
from .origin import Origin, origin
from .provenance import provenance
from .sources import opened
from .style import FILES, MM, brief

FORMATS = ("pdf", "svg", "png", "tikz", "html")
MARK = "mtlnas_lab-figure:"  # before what a file shows, as `refigure` finds it
LIMIT = 2**26  # bytes of a file that `refigure` reads
MOST_PARTS = 10**6  # lists and dicts of the JSON in such a file
MOST_PIXELS = 10**8  # of a PNG: a poster has 15 million
LONGEST_NAME = 255  # bytes of a file's name, on all common systems
FULL = "make room, or give another folder to write to"
CLOSED = "give a folder to write to, with out"
# What to do about what the system says when a picture is to be written.
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
ELSEWHERE = "give another folder or name to write to"
SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"


def figure_files(
    figure, formats: Iterable[str] = ("pdf", "svg", "png"), metadata: Mapping | None = None
) -> tuple[dict[str, bytes], dict]:
    """({ending: bytes}, the record of the sidecar) of a picture; what `save_figure` writes."""
    formats = check_formats(formats)
    shown = _shown(figure)
    _check_fit(formats, shown)
    page = None
    if shown.scene is None:
        page = _page(figure)
        _lay_out(page)
        shown = _shown(page)  # drawing a CurveFigure is what makes its notes
    facts = dict(metadata or shown.provenance or provenance())
    told = _as_json(facts, metadata)
    record: dict = {"provenance": json.loads(told)}
    if shown.spec is not None:
        record["figure"] = shown.spec.to_json()
    packed = base64.b64encode(zlib.compress(json.dumps(record).encode(), 9)).decode()
    note = f"{told} {MARK}{packed}:"
    if shown.notes:
        record["notes"] = list(shown.notes)
        # JSON is ASCII here: a PDF writes other text so that no search finds it.
        note = f"{json.dumps(shown.notes)} {note}"
    if shown.scene is None:
        files = _files_of_page(page, formats, note, shown)
    else:
        files = _files_of_scene(shown, formats, note, facts)
    return files, record


def _files_of_page(page, formats: Sequence[str], note: str, shown: Origin) -> dict[str, bytes]:
    """{ending: bytes} of a figure of matplotlib."""
    return {name: _by_matplotlib(page, name, note, shown) for name in formats}


def _files_of_scene(
    shown: Origin, formats: Sequence[str], note: str, facts: Mapping
) -> dict[str, bytes]:
    """{ending: bytes} of a fusion graph: PDF and PNG by matplotlib, the others written here."""
    scene = shown.scene
    files = {}
    by_matplotlib = [name for name in formats if name in ("pdf", "png")]
    if by_matplotlib:
        files = _files_of_page(draw(scene).figure, by_matplotlib, note, shown)
    texts = {}
    if "svg" in formats:
        texts["svg"] = to_svg(scene, note, _title(shown.spec) or "Fusion graph")
    if "tikz" in formats:
        texts["tikz"] = to_tikz(scene, note)
        texts["tex"] = to_tikz(scene, note, alone=True)
    if "html" in formats:
        texts["html"] = to_html(scene, note, facts)
    for end, text in texts.items():
        files[end] = text.encode()
    return files


def _check_fit(formats: Sequence[str], shown: Origin) -> None:
    """Raises ConfigError for a format that is for fusion graphs only, of a picture that is not one."""
    for name in formats:
        fits = True
        if name == "tikz":
            fits = shown.scene is not None
        elif name == "html":
            fits = isinstance(shown.spec, GraphFigure)
        if not fits:
            raise ConfigError(
                f"only a fusion graph can be written as {name}; take pdf, svg or png for this figure"
            )


def _as_json(facts: Mapping, metadata) -> str:
    try:
        return json.dumps(facts, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"metadata={brief(metadata)} can't be written as JSON ({error}); give text, numbers, "
            "lists and dicts"
        ) from None


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
    formats = check_formats(formats)
    ready(path, formats)
    made, record = figure_files(figure, formats, metadata)
    files = {path.with_name(f"{path.name}.{end}"): data for end, data in made.items()}
    record["files"] = {file.name: hashlib.sha256(data).hexdigest() for file, data in files.items()}
    make_folder(path.parent)
    for file, data in files.items():
        put(file, data)
    # Last, so that a sidecar only speaks of files that are there.
    put(path.with_name(path.name + ".json"), json.dumps(record, indent=1).encode() + b"\n")
    return list(files)


def check_formats(formats: Iterable[str]) -> tuple[str, ...]:
    """The formats, each once. Raises ConfigError for none, or one there is not."""
    if isinstance(formats, str):
        formats = (formats,)
    found = tuple(dict.fromkeys(formats))
    for name in found:
        if name not in FORMATS:
            raise ConfigError(
                f"there is no format {brief(name)}; choose among {', '.join(FORMATS)}"
            )
    if not found:
        raise ConfigError(f"there is no format to write; choose among {', '.join(FORMATS)}")
    return found


# --- files ------------------------------------------------------------------------------------------------------------
def _writing(path: Path):
    """Makes what the system says of a path a RunError of one line, which says what would be right."""
    return os_errors_as(RunError, path, WRITING, ELSEWHERE)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it. Raises RunError."""
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def put(file: Path, data: bytes) -> None:
    """Puts a file in place as a whole or not at all. Raises RunError."""
    part = _part(file)
    with _writing(file):
        try:
            part.write_bytes(data)
            os.replace(part, file)
        except BaseException:  # also when somebody interrupts
            with suppress(OSError):
                part.unlink()
            raise


def _part(file: Path) -> Path:
    """A name beside the file that no other process and no other thread writes to."""
    return file.with_name(f".{os.getpid()}-{threading.get_ident()}.part")


def ready(path: str | os.PathLike, endings: Iterable[str] = ()) -> None:
    """Raises RunError where `path`.ending can't be written, before there is work: no folder, no right, a long name.

    Leaves nothing behind: it tries a name of that length in the nearest folder that is there.
    """
    path = Path(path)
    names = [f"{path.name}.{end}" for end in (*endings, "json")] if endings else [path.name]
    with _writing(path):
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
    """Write the fusion graph of a source as `out`/fusion_graph.pdf and so on.

    Args:
        source: a Run or its folder, an Architecture, an EventLog, a SearchSpace, a Search or a Lab.
        out: the folder; it is made where it is not there.
        formats: of 'pdf', 'svg', 'png', 'tikz' (which also writes a .tex that stands alone) and 'html'.
        style: a name of `STYLES`, or a FigureStyle.
        name: of the files, without an ending.
        alpha: (E,) logits, one for each candidate edge; overrides what the source says.
        step: the graph as it was after that step of the search.
        split: splits a node into features, which edges read, and fused features.
        metadata: where the picture comes from, in place of `provenance(source)`.
        **look: fields of `GraphFigure`, as for `plot_fusion_graph`.

    Returns:
        The files written. A sidecar fusion_graph.json, with their hashes, stands beside them.

    Raises:
        ConfigError: for a format or a look there is not.
        RunError: where the files can't be written.
        SpaceError: for a source that has no fusion graph.

    Example:
        >>> import tempfile
        >>> from mtlnas_lab import SearchSpace, Stage, save_fusion_graph
        >>> stages = [Stage(channels=8, group=0, index=0, size=1)]
        >>> space = SearchSpace.build({"segmentation": stages, "normals": stages})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = save_fusion_graph(space, folder, ("svg", "tikz"), alpha=[2.0, -2.0])
        >>> [file.name for file in files]
        ['fusion_graph.svg', 'fusion_graph.tikz', 'fusion_graph.tex']
    """
    formats = check_formats(formats)
    ready(Path(out) / name, formats)
    source = opened(source)
    figure = GraphFigure(fusion_graph(source, alpha, step=step, split=split), style, **look)
    facts = metadata or provenance(source, step)
    return save_figure(figure, Path(out) / name, formats, facts)


def refigure(file: str | os.PathLike) -> GraphFigure | GraphGrid | CurveFigure:
    """What a file of `save_figure` (any format, or its sidecar) shows, to be drawn again or in another style, as by
    `save_figure(replace(refigure("a.pdf"), style="slide"), "b")`.

    Reads data only. Raises DataError for a file that holds neither a fusion graph nor a curve.
    """
    try:
        os.stat(file)
        data = read(os.path.realpath(file), LIMIT)  # of a link, what it leads to; a plain file only
        found = re.search(MARK.encode() + rb"([A-Za-z0-9+/=]+):", data)
        if found:  # the sidecar holds the figure as it is
            data = zlib.decompressobj().decompress(base64.b64decode(found[1]), LIMIT)
        if data.count(b"[") + data.count(b"{") > MOST_PARTS or data.count(b",") > 8 * MOST_PARTS:
            raise ValueError("too many parts")
        figure = json.loads(data)["figure"]
        if "grid" in figure:
            return GraphGrid.from_json(figure)
        if "curve" in figure:
            return CurveFigure.from_json(figure)
        return GraphFigure.from_json(figure)
    except MTLNASError as error:
        reason = str(error)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        reason = type(error).__name__
    raise DataError(
        f"{file} holds no fusion graph and no curve that can be drawn ({reason}); give a file that "
        "save_figure wrote of one"
    )


# --- what a picture shows ---------------------------------------------------------------------------------------------
def _shown(figure) -> Origin:
    """What is known of a picture, whatever kind of thing it is: what it shows, its scene, its notes, its provenance."""
    if isinstance(figure, (GraphFigure, GraphGrid)):
        scene = figure.scene()
        return Origin(figure, scene, scene.notes)
    if isinstance(figure, CurveFigure):
        return Origin(figure)
    page = getattr(figure, "figure", None) or figure  # the page of axes
    known = origin(page)
    scene = origin(figure).scene
    if scene is None or len(page.axes) > 1:  # no fusion graph, or one beside other things
        return known
    return replace(known, spec=scene.spec, scene=scene, notes=scene.notes)


def _page(figure):
    """The figure of matplotlib of a CurveFigure, of axes, or of a figure."""
    if isinstance(figure, CurveFigure):
        return figure.plot().figure
    return getattr(figure, "figure", None) or figure


def _lay_out(figure) -> None:
    """Gives a figure its final layout, the same in every format. Raises ConfigError where labels leave no room."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "constrained_layout not applied")
        try:
            figure.canvas.draw()
        except UserWarning as error:
            if "constrained_layout" not in str(error):
                raise
            width, height = (MM * inches for inches in figure.get_size_inches())
            raise ConfigError(
                f"{width:.0f} × {height:.0f} mm leave no room for a picture beside its labels; take a "
                "wider style, or a greater height"
            ) from None
    figure.set_layout_engine("none")


def _title(spec) -> str:
    """The title that a person gave, in full; empty where there is none."""
    if isinstance(spec, CurveFigure):
        return spec.options.get("title") or ""
    if isinstance(spec, GraphFigure):
        return spec.title or ""
    return ""


# --- by matplotlib ----------------------------------------------------------------------------------------------------
# What each format calls the metadata of a file; SVG has no place for notes.
FIELDS = {
    "pdf": {"note": "Subject", "title": "Title", "notes": "Keywords"},
    "svg": {"note": "Description", "title": "Title"},
    "png": {"note": "mtlnas_lab", "title": "Title", "notes": "Description"},
}
DATES = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}  # left out: same bytes


def _by_matplotlib(figure, name: str, note: str, shown: Origin) -> bytes:
    names = FIELDS[name]
    metadata = {names["note"]: note, **DATES[name]}
    title = _title(shown.spec)
    if title:
        metadata[names["title"]] = clean(title)
    said = [*getattr(shown.spec, "seen", ()), *shown.notes]
    if said and "notes" in names:
        metadata[names["notes"]] = clean("; ".join(said))
    dpi = origin(figure).dpi or figure.dpi
    width, height = (round(dpi * inches) for inches in figure.get_size_inches())
    if name == "png" and width * height > MOST_PIXELS:
        raise ConfigError(
            f"a PNG of {width} × {height} pixels is too large; make the figure smaller, take a style "
            "with fewer dots per inch, or write pdf and svg only"
        )
    stream = io.BytesIO()
    paper = figure.get_facecolor()
    with matplotlib.rc_context(FILES):
        figure.savefig(stream, format=name, metadata=metadata, dpi=dpi, facecolor=paper)
    data = stream.getvalue()
    if name == "svg":
        data = _titled(data, figure)
    return data


def _titled(svg: bytes, figure) -> bytes:
    """The SVG with a <title> for each artist that has an id and a label."""
    titles = {}
    for artist in figure.findobj():
        label = str(artist.get_label())
        if artist.get_gid() and not label.startswith("_"):  # matplotlib's own labels begin with _
            titles[artist.get_gid()] = label
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    root = ET.fromstring(svg)
    for element in root.iter():
        if element.get("id") in titles:
            title = ET.Element(f"{{{SVG}}}title")
            title.text = titles[element.get("id")]
            element.insert(0, title)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)
