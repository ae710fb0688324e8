"""Where everything stands, against tests/golden/layouts: positions in mm, not pixels. `python tests/test_viz_layouts.py`
writes them anew; look at the pictures before you keep them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from viz_fakes import SPACES, alphas, extent, log

from mtlnas_lab.core.architecture import derive
from mtlnas_lab.viz import GraphFigure, difference_graph, filmstrip, fusion_graph
from mtlnas_lab.viz.graph.shapes import Curve, Text

GOLDEN, CLOSE = Path(__file__).parents[1] / "golden" / "layouts", 0.25  # mm


def figure(name, split=False, **look):
    return GraphFigure(fusion_graph(SPACES[name], alphas(SPACES[name]), split=split), **look)


def difference():
    two = SPACES["vgg"]
    return GraphFigure(
        difference_graph(
            derive(two, alphas(two)), derive(two, alphas(two, seed=1)), ("λ = 10", "λ = 0")
        )
    )


CASES = {
    "paper-single": lambda: figure("vgg"),
    "paper-double-titled": lambda: figure("resnet", style="paper-double", title="Title"),
    "channels-dark": lambda: figure("vgg", style="web-dark", labels="channels"),
    "split": lambda: figure("vgg", split=True, style="paper-double"),
    "three-by-source": lambda: figure("three", style="paper-double", color="source"),
    "five-hidden-slide": lambda: figure("five", style="slide", dropped="hide", threshold=0.98),
    "unlike": lambda: figure("unlike", style="paper-double"),
    "hostile": lambda: figure("hostile", dropped="hide"),
    "dragged": lambda: figure(
        "vgg", layout={"normals:3": (3.5, -1.5), "segmentation:0": (-0.4, 0.4)}
    ),
    "difference": difference,
    "film": lambda: filmstrip(log(SPACES["vgg"]), pictures=3),
}


def places(scene) -> dict[str, list[float]]:
    """{what: [x0, y0, x1, y1]}; of an edge where it starts and where its tip is."""
    found = {"page": [0, 0, scene.width, scene.height]}
    for number, item in enumerate(scene.items):
        if isinstance(item, Curve):
            found[item.id or f"line {number}"] = [
                *item.points[0],
                *(item.head[2] if item.head else item.points[-1]),
            ]
        else:
            found[
                f"{number} {item.text}" if isinstance(item, Text) else item.id or f"box {number}"
            ] = extent(item)
    return {name: [round(float(x), 2) for x in box] for name, box in found.items()}


@pytest.mark.parametrize("name", CASES)
def test_nothing_has_moved(name):
    now, then = (
        places(CASES[name]().scene()),
        json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8")),
    )
    assert list(now) == list(then)
    moved = {
        what: (then[what], box)
        for what, box in now.items()
        if np.abs(np.subtract(box, then[what])).max() > CLOSE
    }
    assert not moved, f"{len(moved)} moved, such as {dict(list(moved.items())[:3])}"


def test_a_shift_is_noticed():
    scene = CASES["paper-single"]().scene()
    other = figure("vgg", layout={"normals:3": (3.65, -1.0)}).scene()
    assert (
        sum(
            np.abs(np.subtract(a, b)).max() > CLOSE
            for a, b in zip(places(scene).values(), places(other).values())
        )
        > 3
    )


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        found = places(CASES[case]().scene())
        rows = [
            f"{json.dumps(what, ensure_ascii=False)}: {json.dumps(box)}"
            for what, box in found.items()
        ]
        (GOLDEN / f"{case}.json").write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
