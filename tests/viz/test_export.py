"""Files: the same bytes each time, real text, embedded fonts, where they come from, and every name survives."""

import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ET
import zlib

import networkx as nx
import pytest
from PIL import Image
from viz_fakes import ALL, HOSTILE, alphas, log, save, space

from mtlnas_lab.core.architecture import Architecture, derive
from mtlnas_lab.errors import ConfigError, DataError, MTLNASError
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.viz import (
    GraphFigure,
    fusion_graph,
    plot_entropy,
    plot_fusion_graph,
    plot_heatmap,
    provenance,
    refigure,
    save_figure,
    save_fusion_graph,
    small_multiples,
)
from mtlnas_lab.viz.graph.svg_tikz import clean, latex

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return save(tmp_path_factory.mktemp("figures"))


def test_all_formats_are_written_and_the_same_each_time(files, tmp_path):
    assert sorted(files) == ["html", "pdf", "png", "svg", "tex", "tikz"]
    again = save(tmp_path)
    for kind, file in files.items():
        assert (
            again[kind].name == f"fusion_graph.{kind}"
            and again[kind].read_bytes() == file.read_bytes()
        ), kind
    sidecar = json.loads((tmp_path / "fusion_graph.json").read_text())
    assert sidecar["files"] == {
        f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in again.values()
    }
    assert not list(tmp_path.glob(".*")), "nothing is left lying about"


def test_pdf_has_its_fonts_and_no_raster(files):
    data = files["pdf"].read_bytes()
    streams = re.findall(rb"stream\n(.*?)\nendstream", data, re.S)
    text = data + b"".join(zlib.decompress(part) for part in streams if part[:1] == b"x")
    assert b"/Subtype /CIDFontType2" in text and b"/FontFile2" in text and b"DejaVuSans" in text
    assert b"/Subtype /Type3" not in text and b"/Subtype /Image" not in text
    width, height = (
        float(x) / 72 * 25.4
        for x in re.search(rb"MediaBox \[ 0 0 ([\d.]+) ([\d.]+)", data).groups()
    )
    assert width == pytest.approx(85, abs=0.01) and 30 < height < 60, "mm"


def test_svg_is_xml_with_real_text_ids_and_titles(files):
    root = ET.parse(files["svg"]).getroot()
    assert root.get("width") == "85mm" and not list(root.iter(SVG + "image"))
    texts = [element.text for element in root.iter(SVG + "text")]
    assert {"segmentation", "normals", "12", "kept", "dropped", "edge probability σ(α)"} <= set(
        texts
    )
    by_id = {element.get("id"): element for element in root.iter() if element.get("id")}
    assert (
        sum(id.startswith("edge-") for id in by_id) == 48
        and sum(id.startswith("node-") for id in by_id) == 26
    )
    assert by_id["node-1-3"].find(SVG + "title").text == "normals:3, 128 channels, group 1"
    title = by_id["edge-0"].find(SVG + "title").text
    assert re.fullmatch(r"\w+:\d+ → \w+:\d+, σ\(α\) = [01]\.\d{3}, (kept|dropped)", title)
    sizes = [float(element.get("font-size")) / 25.4 * 72 for element in root.iter(SVG + "text")]
    assert min(sizes) > 5.99
    assert not any(element.get("style") for element in root.iter()), (
        "works under a strict content policy"
    )


def test_png_has_the_pixels_of_its_style(files, tmp_path):
    with Image.open(files["png"]) as picture:
        assert picture.width == int(85 / 25.4 * 300) and "mtlnas_lab" in picture.text
    with Image.open(save(tmp_path, formats=("png",), style="web-dark")["png"]) as picture:
        assert picture.width == 1000 and sum(picture.convert("RGB").getpixel((2, 2))) < 120


@pytest.fixture(scope="module")
def of_a_run(tmp_path_factory):
    """(a run, its log, the folder of its figure in every format)."""
    folder, history = tmp_path_factory.mktemp("of-a-run"), log(space())
    with RunWriter.create(folder / "a-run", {"seed": 3}, space()) as run:
        for event in history.events:
            run.append(event)
    save_fusion_graph(
        run.path,
        folder / "out",
        ALL,
        title="After 60 steps",
        dropped="hide",
        style="web-dark",
    )
    return run, history, folder / "out"


@pytest.mark.parametrize("kind", ["pdf", "svg", "png", "tikz", "tex", "html", "json"])
def test_every_file_says_where_it_comes_from_and_can_be_drawn_again(kind, of_a_run, tmp_path):
    run, history, out = of_a_run
    data = (out / f"fusion_graph.{kind}").read_bytes()
    for fact in ('"run": "a-run"', '"seed": 3', '"step": 60', '"torch": "2"'):
        assert fact.encode() in data
    found = json.loads((out / "fusion_graph.json").read_text())["provenance"]
    assert (
        found["config"] == provenance(run)["config"]
        and found["step"] == 60
        and found["run"] == "a-run"
    )
    again = refigure(out / f"fusion_graph.{kind}")
    assert nx.utils.graphs_equal(again.graph, fusion_graph(history))
    assert (again.title, again.dropped, again.style.name) == ("After 60 steps", "hide", "web-dark")
    save_figure(again, tmp_path / "again" / "fusion_graph", ALL, found)
    for file in sorted(out.iterdir()):
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_a_grid_is_drawn_again(tmp_path):
    two = space()
    grid = small_multiples({str(seed): derive(two, alphas(two, seed=seed)) for seed in range(3)})
    files = save_figure(grid, tmp_path / "grid", ("pdf", "svg", "png", "tikz"))
    assert len(files) == 5 and refigure(files[0]).scene() == grid.scene()
    with pytest.raises(ConfigError, match="as html"):
        save_figure(grid, tmp_path / "grid", ("html",))


def test_what_is_no_figure_of_ours_is_said(tmp_path):
    other = tmp_path / "other.svg"
    for text in (
        "<svg/>",
        "{}",
        "[1]",
        '{"figure": {"graph": 1}}',
        '{"figure": {"grid": 3}}',
        "mtlnas_lab-figure:AAAA:",
        "mtlnas_lab-figure:A:",
        "[" * 100_000,
    ):
        other.write_text(text)
        with pytest.raises(DataError, match="holds no fusion graph and no curve"):
            refigure(other)
    with pytest.raises(DataError, match="FileNotFoundError"):
        refigure(tmp_path / "none.pdf")
    record = json.dumps({"figure": {}, "more": "0" * 2**27}).encode()
    other.write_bytes(b"mtlnas_lab-figure:" + base64.b64encode(zlib.compress(record, 9)) + b":")
    with pytest.raises(DataError):
        refigure(other)  # a bomb is read up to a limit


def test_axes_are_saved_too(tmp_path):
    history = log(space())
    for ax in (plot_entropy(history), plot_heatmap(history)):
        first = save_figure(ax, tmp_path / "one", metadata={"run": "<x>"})
        second = save_figure(ax.figure, tmp_path / "two", metadata={"run": "<x>"})
        assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]
    root = ET.parse(tmp_path / "one.svg").getroot()
    titles = [element.text for element in root.iter(SVG + "title")]
    assert sum(title.startswith(("segmentation:", "normals:")) for title in titles) == 48
    assert "stage of the source" in [element.text for element in root.iter(SVG + "text")]
    with pytest.raises(ConfigError, match="only a fusion graph can be written as tikz"):
        save_figure(plot_entropy(history), tmp_path / "x", ("tikz",))
    ax = plot_fusion_graph(history)
    assert save_figure(ax, tmp_path / "graph", ("tikz", "svg"))[0].exists()
    with pytest.raises(ConfigError, match="choose among pdf, svg"):
        save_figure(ax, tmp_path / "x", ("jpeg",))


@pytest.mark.filterwarnings("ignore::mtlnas_lab.viz.style.PictureWarning")  # if no font has them
def test_every_name_survives_every_format(tmp_path):
    files = save(tmp_path, HOSTILE, tasks=5, style="paper-double")
    texts = " ".join(element.text or "" for element in ET.parse(files["svg"]).getroot().iter())
    for name in HOSTILE:
        assert name in texts, "in full, in the titles of nodes"
    assert (
        "<script>alert" not in files["html"].read_text()
        and "<script>alert" not in files["svg"].read_text()
    )
    assert refigure(files["pdf"]).graph.nodes[f"{HOSTILE[0]}:0"]["task"] == HOSTILE[0]
    assert (
        latex(HOSTILE[0])
        == r"50\%\_of \$x\textasciicircum{}2\$ \& \#1\textasciitilde{}\{y\}\textbackslash{}z"
    )
    assert latex("é 😀") == "é \\labchar{😀}" and clean("a\x00b\ud800") == "a\ufffdb\ufffd"


def test_html_may_load_nothing_and_runs_only_its_own_script(files):
    page = files["html"].read_text()
    policy = re.search(r'Content-Security-Policy"\s+content="([^"]+)"', page)[1]
    assert (
        policy.startswith("default-src 'none';") and "unsafe" not in policy and "http" not in policy
    )
    for tag in ("style", "script"):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.S)[1]
        assert (
            f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'"
            in policy
        )
    assert not re.search(r"\bsrc=|\bhref=|\bon\w+=|style=", page)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert len(data["edges"]) == 48 and len(data["nodes"]) == 26


def test_tikz_carries_widths_opacities_and_bends(files):
    text = files["tikz"].read_text()
    widths = re.findall(r"\\draw\[color=.*?,line width=([\d.]+)bp.*?\] \(.*?\) \.\. controls", text)
    assert len(set(widths)) > 40 and len(set(re.findall(r"opacity=([\d.]+)", text))) > 40
    assert "dash pattern" in text and r"\ensuremath{\sigma}(\ensuremath{\alpha})" in text
    assert "documentclass" not in text and files["tex"].read_text().startswith(r"\documentclass")


def test_zero_kept_edges_and_odd_sources_are_saved(tmp_path):
    two = space()
    assert save_fusion_graph(Architecture(two, (False,) * 48), tmp_path, ALL, dropped="hide")
    assert save_fusion_graph(two, tmp_path, ALL, name="candidates")
    assert save_figure(
        GraphFigure(fusion_graph(two, alphas(two), split=True)), tmp_path / "split", ALL
    )
    with pytest.raises(MTLNASError):
        save_fusion_graph(tmp_path / "no-run", tmp_path)
