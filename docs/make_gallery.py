"""Makes docs/gallery/: every kind of picture, with the code that draws it. `python docs/make_gallery.py [name …]`

Searches are the two recorded ones of data_samples/runs, where they are; else, and for spaces that nobody has searched
here, α is made up, and the caption says so.
"""

import inspect
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mtlnas_lab.analysis.edge_table import explain, to_markdown
from mtlnas_lab.bench.landscape import landscape
from mtlnas_lab.bench.race import frame, names, race
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.core.architecture import Architecture, derive
from mtlnas_lab.core.events import Evaluated, Started, Step, Turned
from mtlnas_lab.core.space import SearchSpace, plan
from mtlnas_lab.models.released import from_released
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.runs.run import Run
from mtlnas_lab.viz import (
    GraphFigure,
    animate,
    consensus_graph,
    difference_graph,
    filmstrip,
    fusion_graph,
    overview,
    plot_collapse,
    plot_effects,
    plot_front,
    plot_heatmap,
    plot_regret,
    save_figure,
    side_by_side,
    small_multiples,
    stability,
)

HERE, ROOT = Path(__file__).parent / "gallery", Path(__file__).parents[1]
VGG = plan([64] * 2 + [128] * 2 + [256] * 3 + [512] * 6, [2, 2, 3, 3, 3])
RESNET = plan([256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3, [3, 4, 6, 3])
FACTS = {"package": "mtlnas_lab", "made by": "docs/make_gallery.py"}


def space(tasks="segmentation normals", stages=VGG):
    return SearchSpace.build(dict.fromkeys(tasks.split(), stages))


def late(space, seed=0, share=0.5):
    """Made-up α of a search that is over: most edges decided."""
    random = np.random.default_rng(seed)
    return np.where(random.random(len(space)) < share, 3.5, -3.5) + random.normal(0, 1, len(space))


def made_up_search(space, steps=400, weight=10.0):
    """A made-up log: every edge drifts, faster as λ grows."""
    random, alpha = np.random.default_rng(1), np.zeros(len(space))
    events = [Started({"seed": 1}, space.to_json(), {}, "cpu", 1)]
    drift = random.normal(0, 0.006, len(space))
    for step in range(1, steps + 1):
        now = weight * min(max(step / steps - 0.3, 0) / 0.4, 1)
        p = 1 / (1 + np.exp(-alpha))
        alpha = (
            alpha + drift + random.normal(0, 0.02, len(space)) + 0.008 * now * alpha * p * (1 - p)
        )
        p = 1 / (1 + np.exp(-alpha))
        entropy = float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())
        if step == round(0.3 * steps):
            events.append(Turned(step, {"entropy_weight": weight}))
        loss = {
            task: float((1.5 + i) * (0.4 + np.exp(-4 * step / steps)) + random.normal(0, 0.1))
            for i, task in enumerate(space.tasks)
        }
        events.append(
            Step(
                step,
                tuple(alpha),
                (0.0,) * len(alpha),
                loss,
                entropy,
                entropy / np.log(2),
                now,
                0,
                1,
                0,
                0,
            )
        )
        if step % (steps // 8) == 0:
            score = {
                gates: {
                    "segmentation": {"miou": 0.05 + 0.12 * step / steps - cost * entropy},
                    "normals": {"mean_angle": 40 - 8 * step / steps + 20 * cost * entropy},
                }
                for gates, cost in (("soft", 0), ("hard", 0.05), ("hard_recalibrated", 0.02))
            }
            events.append(Evaluated(step, score))
    return EventLog(events)


def recorded(name="entropy"):
    """A recorded search, or a made-up one where there is none."""
    folder = ROOT / "data_samples" / "runs" / name
    return Run.open(folder).log if (folder / "events.jsonl").is_file() else made_up_search(space())


# --- the pictures: the docstring is the caption, the body is shown ----------------------------------------------------
def vgg16():
    """Two tasks on VGG-16, 48 candidate edges, for one column of a paper (85 mm)."""
    return GraphFigure(fusion_graph(recorded()), style="paper-single")


def vgg16_undecided():
    """The same space early in a search: everything near ½. Made-up α."""
    return GraphFigure(fusion_graph(space(), np.random.default_rng(0).normal(0, 0.3, 48)))


def candidates():
    """The search space itself, before any search."""
    return GraphFigure(fusion_graph(space()))


def split():
    """Each node split into features (what edges read) and fused features: a graph without cycles. Made-up α."""
    return GraphFigure(fusion_graph(space(), late(space()), split=True), style="paper-double")


def three_tasks():
    """Three tasks: edges between the outer lanes pass between the nodes of the middle one. Made-up α."""
    three = space("segmentation normals depth")
    return GraphFigure(fusion_graph(three, late(three, share=0.35)), style="paper-double")


def three_tasks_by_source():
    """The same, coloured by the task an edge comes from."""
    three = space("segmentation normals depth")
    return GraphFigure(
        fusion_graph(three, late(three, share=0.35)), style="paper-double", color="source"
    )


def five_tasks():
    """Five tasks × 16 stages, 720 candidate edges, the kept ones shown. Made-up α."""
    five = space("segmentation normals depth edges room", RESNET)
    return GraphFigure(
        fusion_graph(five, late(five, share=0.15)), style="paper-double", dropped="hide"
    )


def resnet50():
    """ResNet-50's 72 edges, nodes named by their channels. Made-up α."""
    two = space(stages=RESNET)
    return GraphFigure(fusion_graph(two, late(two)), style="paper-double", labels="channels")


def unlike_backbones():
    """VGG-16 beside ResNet-50: stages stand by how deep they are in their group. Made-up α."""
    two = SearchSpace.build({"segmentation": VGG, "normals": RESNET})
    return GraphFigure(fusion_graph(two, late(two)), style="paper-double")


def released():
    """From a state dict of the released implementation (the narrow one of the golden tests; α as they are there)."""
    with np.load(ROOT / "tests" / "golden" / "mtlnas_vgg16_narrow.npz", allow_pickle=False) as file:
        lab = from_released({key[6:]: file[key] for key in file.files if key.startswith("state/")})
    return GraphFigure(
        fusion_graph(lab.space, lab.alphas.alpha.tolist()), title="Released names, narrow VGG-16"
    )


def dark():
    """For a dark web page."""
    return GraphFigure(fusion_graph(recorded()), style="web-dark", title="After the search")


def dragged():
    """Nodes where somebody put them: a layout, as the figure studio saves it, is one argument of every export."""
    layout = {
        "segmentation:12": (15.6, 0.25),
        "normals:12": (15.6, -1.25),
        "segmentation:0": (-0.4, 0.25),
    }
    return GraphFigure(fusion_graph(recorded()), layout=layout, dropped="hide", color="source")


def blind():
    """A search in which segmentation's network saw noise: a crossed eye beside its lane, and a line below."""
    return GraphFigure(fusion_graph(recorded("blind")), style="paper-double", dropped="hide")


def threshold():
    """Halfway through a search, only what is above ⅔."""
    return GraphFigure(
        fusion_graph(recorded(), step=250),
        threshold=2 / 3,
        title="after 250 of 500 steps, σ(α) > ⅔",
    )


def consensus():
    """Five runs: the share of them that keep an edge as width. Made-up α."""
    runs = [
        derive(space(), late(space()) + np.random.default_rng(seed).normal(0, 2.5, 48))
        for seed in range(5)
    ]
    return GraphFigure(
        consensus_graph(runs), title=f"5 runs, stability {stability(runs)['stability']:.2f}"
    )


def difference():
    """What two searches keep differently. Made-up α."""
    first, second = (
        derive(space(), late(space()) + np.random.default_rng(s).normal(0, 2.5, 48)) for s in (0, 1)
    )
    return GraphFigure(difference_graph(first, second, ("λ = 10", "λ = 0")))


def multiples():
    """Small multiples in one layout. Made-up α."""
    return small_multiples(
        {f"seed {seed}": derive(space(), late(space(), seed)) for seed in range(4)}
    )


def film():
    """The graph along a search."""
    return filmstrip(recorded(), pictures=6)


def hostile_names():
    """Whatever the tasks are called."""
    names = r"50%_of_$x^2$_&_#1 <script>alert(1)</script> 😀 שלום " + "a" * 60
    five = space(names)
    return GraphFigure(
        fusion_graph(five, late(five, share=0.1)), style="paper-double", dropped="hide"
    )


def nothing_kept():
    """No edge kept."""
    return GraphFigure(fusion_graph(Architecture(space(), (False,) * 48)))


def search():
    """A whole search in one still picture."""
    return overview(recorded())


def heat():
    """The gates as a table: rows are sources, columns are targets; a dot marks what is kept."""
    return plot_heatmap(recorded(), style="web-light", height=110)


def graph_and_heat_map():
    """Graph and table side by side."""
    return side_by_side(recorded(), style="web-light")


def collapse():
    """How the gates leave the middle."""
    return plot_collapse(recorded(), style="web-light", height=110)


def moving():
    """The same as a film, for slides."""
    return animate(recorded(), HERE / "moving.gif", count=20, pixels=560)


def table():
    return FusionTable.open("segmentation-normals")


def front():
    """All 256 graphs of a small space by their two losses, and the front that none beats."""
    names = [f"{task}/loss" for task in table().tasks]
    points = pd.DataFrame({name: table().values(name) for name in names})
    points["edges"] = [graph.bit_count() for graph in table().graphs]
    floor = {name: table().noise_floor(name).smallest for name in names}
    return plot_front(points, floor=floor, marked={"none": 0, "all": 255}, style="web-light")


def effects():
    """What opening each edge does to the total loss: left of 0 it helps."""
    found = landscape(table()).effects
    rows = pd.DataFrame([edge.by_seed for edge in found], [edge.edge for edge in found])
    groups = [f"into {edge.target.task}" for edge in table().space.edges]
    half = {edge.edge: edge.half for edge in found}
    return plot_effects(rows, score="total loss", half=half, groups=groups, style="web-light")


def regret():
    """A race of searches over the table: how much worse than the best graph, by what was spent."""
    with TemporaryDirectory() as folder:
        searchers = names(["random", "local_search", "evolution"])
        curves = frame(table(), race(table(), folder, searchers, backend="sequential"))
    floor = table().noise_floor().smallest
    return plot_regret(curves, score="total loss", floor=floor, style="web-light")


def words():
    """An architecture in words (the first lines)."""
    return "\n".join(to_markdown(explain(derive(space(), late(space())))).splitlines()[:8])


SVG = (
    vgg16,
    vgg16_undecided,
    candidates,
    split,
    three_tasks,
    three_tasks_by_source,
    five_tasks,
    resnet50,
    unlike_backbones,
    released,
    dark,
    dragged,
    blind,
    threshold,
    consensus,
    difference,
    multiples,
    film,
    hostile_names,
    nothing_kept,
)
PICTURES = {
    **dict.fromkeys(SVG, "svg"),
    search: "png",
    graph_and_heat_map: "png",
    heat: "png",
    collapse: "png",
    front: "png",
    effects: "png",
    regret: "png",
    moving: "gif",
    words: "md",
}


def draw(make, end: str) -> None:
    figure, file = make(), HERE / f"{make.__name__}.{end}"
    if end in ("svg", "png"):
        save_figure(figure, HERE / make.__name__, (end,), FACTS)
        file.with_suffix(".json").unlink()
    if end == "png":  # 256 colours: a third of the size
        with Image.open(file) as picture:
            note = PngInfo()
            note.add_text("mtlnas_lab", picture.text["mtlnas_lab"])
            picture.convert("RGB").quantize(256, method=1, dither=0).save(
                file, optimize=True, pnginfo=note
            )
    if end != "md":
        print(file.name, file.stat().st_size // 1000, "kB")


def main(chosen) -> None:
    HERE.mkdir(exist_ok=True)
    page = [
        "# Gallery",
        "",
        "Made by `python docs/make_gallery.py`; each picture with the code that draws it. Files",
        "hold what they show: `refigure(file)` draws a graph, a table or a curve again, in any style or format.",
        "The command draws all kinds too, for one run or for hundreds: `mtlnas-lab figure RUNS --kind …`.",
        "By hand, with the mouse: `FigureStudio(run)` in a notebook.",
        "",
    ]
    for make, end in PICTURES.items():
        if not chosen or make.__name__ in chosen:
            draw(make, end)
        source = inspect.cleandoc(inspect.getsource(make).split('"""')[-1])
        page += [
            f"## {make.__doc__}",
            "",
            words() if end == "md" else f"![{make.__doc__}]({make.__name__}.{end})",
            "",
            f"```python\n{source}\n```",
            "",
        ]
    (HERE / "README.md").write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
