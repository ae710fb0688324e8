"""The playground's page: its numbers are the library's, it asks for nothing, and a person can search in it."""

import json
import re
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from contrast import AA, contrast
from torch import nn

from mtlnas_lab.core.backbone import Backbone
from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.events import Step
from mtlnas_lab.core.fusion import CrossStitch
from mtlnas_lab.core.lab import Lab
from mtlnas_lab.core.relaxation import RELAXATIONS, ArchitectureWeights
from mtlnas_lab.core.schedule import Schedule
from mtlnas_lab.core.search import Search
from mtlnas_lab.core.supernet import SuperNet
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.tasks.task import Depth, Segmentation
from mtlnas_lab.widgets import playground_html
from mtlnas_lab.widgets.playground import page
from mtlnas_lab.widgets.studio.encoding import frame
from mtlnas_lab.widgets.studio.standalone import STYLE

ROOT = Path(__file__).parents[2]
HERE = Path(page.__file__).parent
IMAGES, SIDE, STEPS = 3, page.SIDE, 6
TASKS = {"segmentation": Segmentation("segmentation", 3), "depth": Depth("depth")}


def in_node(folder, script):
    """What a script prints as JSON; it may import the page's modules by their names."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on this machine")
    file = folder / "numbers.mjs"
    names = {
        name: (HERE / f"{name}.js").as_uri() for name in ("network", "record", "search", "toy")
    }
    imports = "\n".join(f"import * as {name} from {json.dumps(at)};" for name, at in names.items())
    file.write_text(f"{imports}\n{script}", encoding="utf-8")
    done = subprocess.run([node, file], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def backbone(outputs, stages):
    widths = [3] + [page.CHANNELS] * len(stages)
    layers = [
        nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU()) for a, b in zip(widths, widths[1:])
    ]
    return Backbone(layers, stages, nn.Conv2d(page.CHANNELS, outputs, 1))


def a_lab():
    torch.manual_seed(3)
    space = page.playground_space()
    backbones = {task: backbone(page.OUTPUTS[task], space.plans[task]) for task in space.tasks}
    network = SuperNet(backbones, space, CrossStitch).double()
    alphas = ArchitectureWeights(len(space)).double()
    with torch.no_grad():
        alphas.alpha.copy_(torch.linspace(-1, 1, len(space)))
        for fusion in network.fusion.values():  # no weight is like another
            fusion.mix += 0.1 * torch.randn(len(fusion.mix), dtype=torch.float64)
    return Lab(dict(TASKS), network, alphas, {})


def batches(seed):
    random = torch.Generator().manual_seed(seed)
    while True:
        image = torch.randn(IMAGES, 3, SIDE, SIDE, generator=random, dtype=torch.float64)
        classes = torch.randint(0, 3, (IMAGES, SIDE, SIDE), generator=random)
        depth = torch.rand(IMAGES, 1, SIDE, SIDE, generator=random, dtype=torch.float64) + 0.5
        yield image, {"segmentation": classes, "depth": depth}


def arrays(lab):
    """The weights in the page's order: of the stages, the heads, the fusion operations."""
    space = lab.space
    layers = [stage[0] for task in space.tasks for stage in lab.supernet.backbones[task].stages]
    layers += [lab.supernet.backbones[task].head for task in space.tasks]
    found = [values for layer in layers for values in (layer.weight, layer.bias)]
    found += [lab.supernet.fusion[str(node)].mix for node in space.nodes if space.into(node)]
    return [values.detach().flatten().tolist() for values in found]


def as_the_page_has_it(batch):
    image, targets = batch
    bordered = nn.functional.pad(image, (1, 1, 1, 1)).flatten().tolist()
    return {
        "seen": [bordered, bordered],
        "targets": [targets[task].flatten().tolist() for task in TASKS],
        "images": IMAGES,
    }


def draws(config, edges):
    """The uniform numbers that the library's search will draw, each for all edges."""
    twin = torch.Generator().manual_seed(config.seed)
    drawn = [
        name in ("stochastic", "straight_through", "bernoulli")
        for name in (config.alpha_gates, config.weight_gates)
    ]
    return [
        torch.rand(edges, generator=twin, dtype=torch.float64).tolist()
        for _ in range(STEPS * sum(drawn))
    ]


SCRIPT = """
const {shape, weights, alpha, knobs, draws, batches, force, steps} = JSON.parse(%s);
const own = network.firstWeights(shape, n => new Float64Array(n));
network.arraysOf(own).forEach((one, k) => one.set(weights[k]));
const given = batches.map(({seen, targets, images}) => ({images, targets, seen: seen.map(one => Float64Array.from(one))}));
const made = search.makeSearch({shape, weights: own, alpha: Float64Array.from(alpha), knobs, steps, draw: () => draws.shift(),
  batches: {alpha: () => given.shift(), weights: () => given.shift()}});
Object.assign(made.forced, force);
const told = Array.from({length: steps}, () => made.update());
const bytes = record.encode(told, 7000);
console.log(JSON.stringify({told: told.map(one => ({...one, alpha: [...one.alpha], alpha_grad: [...one.alpha_grad]})),
  weights: network.arraysOf(own).map(one => [...one]), left: draws.length + given.length,
  frame: [...new Uint8Array(bytes.buffer)]}));
"""


@pytest.mark.parametrize(
    "alpha_gates, weight_gates, force",
    [
        ("deterministic", "stochastic", {}),
        ("stochastic", "straight_through", {"3": True, "7": False}),
        ("straight_through", "bernoulli", {}),
        ("bernoulli", "discretize", {}),
        ("all_open", "deterministic", {"0": False}),
    ],
)
def test_an_update_of_the_page_is_the_librarys(alpha_gates, weight_gates, force, tmp_path):
    config = SearchConfig(
        steps=STEPS,
        alpha_gates=alpha_gates,
        weight_gates=weight_gates,
        entropy_weight=1.5,
        l1_weight=0.3,
        alpha_lr=0.05,
        weight_lr=0.01,
        seed=11,
    )
    lab = a_lab()
    edges = len(lab.space)
    of_alpha, of_weights = batches(1), batches(2)
    each = [as_the_page_has_it(next(one)) for _ in range(STEPS) for one in (of_alpha, of_weights)]
    given = {
        "shape": page.page_data()["shape"],
        "weights": arrays(lab),
        "alpha": lab.alphas.alpha.tolist(),
        "knobs": page.knobs_of(config),
        "draws": draws(config, edges),
        "batches": each,
        "force": force,
        "steps": STEPS,
    }
    search = Search(lab, config, batches(2), batches(1))
    search.turn(force={str(lab.space.edges[int(e)]): to for e, to in force.items()})
    steps = [event for event in search if isinstance(event, Step)]
    told = in_node(tmp_path, SCRIPT % json.dumps(json.dumps(given)))
    assert told["left"] == 0
    for one, own in zip(told["told"], steps, strict=True):
        assert one["step"] == own.step
        np.testing.assert_allclose(one["alpha"], own.alpha, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(one["alpha_grad"], own.alpha_grad, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(one["losses"], list(own.loss.values()), rtol=1e-9)
        for name in ("entropy", "entropy_weight", "temperature", "l1_weight", "alpha_lr"):
            assert one[name] == pytest.approx(getattr(own, name), rel=1e-9, abs=1e-12)
    for mine, theirs in zip(told["weights"], arrays(lab), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-9)
    if alpha_gates not in (
        "bernoulli",
        "all_open",
    ):  # gradients of 0, of which the library reports the rounding
        check_frame(bytes(told["frame"]), frame(EventLog(steps)), edges)


def check_frame(ours, theirs, edges):
    """The same bytes, but for the last digit of a number that was computed in another order."""
    assert len(ours) == len(theirs)
    codes = 3 * edges * STEPS
    np.testing.assert_allclose(
        *(np.frombuffer(one[:-codes], "<f4") for one in (ours, theirs)), rtol=1e-5, atol=1e-7
    )
    gates = [
        np.frombuffer(one[-codes : -edges * STEPS], "<u2").astype(int) for one in (ours, theirs)
    ]
    slopes = [np.frombuffer(one[-edges * STEPS :], "i1").astype(int) for one in (ours, theirs)]
    assert np.abs(gates[0] - gates[1]).max() <= 1 and np.abs(slopes[0] - slopes[1]).max() <= 1


def test_every_relaxation_of_the_library_is_there(tmp_path):
    names = in_node(tmp_path, "console.log(JSON.stringify(Object.keys(search.RELAXED)));")
    assert set(names) == set(RELAXATIONS)


def test_schedules_and_rows_are_the_librarys(tmp_path):
    from mtlnas_lab.widgets.studio.encoding import rows

    made = [
        Schedule(0.0, start=1.0, period=(0.0, 1.0), power=2.0),
        Schedule(3.0, start=1.0, period=(0.2, 0.6)),
        Schedule(2.0),
    ]
    shown = [asdict(one) for one in made]
    script = (
        f"const all = {json.dumps(shown)}.map(one => [...Array(11).keys()].map(t => search.scheduled(one, t, 10)));\n"
        "const picked = [1, 7, 64, 65, 599, 1300].map(n => record.rowsOf(n, 12, 7000));\n"
        "console.log(JSON.stringify({all, picked}));"
    )
    found = in_node(tmp_path, script)
    for schedule, values in zip(made, found["all"]):
        np.testing.assert_allclose(values, [schedule(t, 10) for t in range(11)], rtol=1e-12)
    assert found["picked"] == [rows(n, 12, 7000).tolist() for n in (1, 7, 64, 65, 599, 1300)]


def test_scores_are_the_tasks_own(tmp_path):
    random = torch.Generator().manual_seed(0)
    _, targets = next(batches(5))
    outputs = {
        task: torch.randn(IMAGES, one.channels, SIDE, SIDE, generator=random, dtype=torch.float64)
        for task, one in TASKS.items()
    }
    bordered = [nn.functional.pad(one, (1, 1, 1, 1)).flatten().tolist() for one in outputs.values()]
    labels = [one.flatten().tolist() for one in targets.values()]
    script = (
        f"const out = {json.dumps(bordered)}, t = {json.dumps(labels)};\n"
        f"console.log(JSON.stringify({{...search.SCORES.segmentation(out[0], t[0], {IMAGES}, {SIDE}, 3),"
        f"...search.SCORES.depth(out[1], t[1], {IMAGES}, {SIDE})}}));"
    )
    found = in_node(tmp_path, script)
    for name, task in TASKS.items():
        meter = task.meter()
        meter.update(
            outputs[name].float(), targets[name].float() if name == "depth" else targets[name]
        )
        metric = {"segmentation": "miou", "depth": "absolute"}[name]
        assert found[metric] == pytest.approx(float(meter.compute()[metric]), rel=1e-5)


def test_blindfolded_networks_see_as_in_the_library(tmp_path):
    """v · image + (1 − v) · noise, the noise unit Gaussian: with v = 0 nothing of the image is left."""
    script = (
        "const some = toy.scenes(4, 6, 12), at = v => [...toy.batchOf(some, 12, [1, v], 9).seen[1]];\n"
        "console.log(JSON.stringify({none: at(0), half: at(0.5), all: at(1)}));"
    )
    found = {name: np.array(values) for name, values in in_node(tmp_path, script).items()}
    np.testing.assert_allclose(found["half"], (found["all"] + found["none"]) / 2, atol=1e-6)
    noise = found["none"].reshape(6, 3, 14, 14)[:, :, 1:-1, 1:-1]
    assert abs(noise.mean()) < 0.1 and abs(noise.std() - 1) < 0.1
    assert found["none"].reshape(6, 3, 14, 14)[:, :, 0].any() == 0, "the border stays 0"


def test_it_asks_for_nothing_and_is_small():
    text = playground_html()
    assert len(text.encode()) < 300_000
    assert "http://" not in text and "https://" not in text and "import " not in text
    assert "default-src 'none'" in text


def test_the_playground_that_is_shipped_is_that_of_today():
    shipped = (ROOT / "docs" / "playground.html").read_text(encoding="utf-8")
    assert shipped == playground_html(), "make it again: mtlnas-lab playground docs/playground.html"


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_words_can_be_read_in_both_themes(theme):
    """A contrast of 4.5, which WCAG asks for at level AA, of all colours that words have on a page that stands alone."""
    found = {
        name: re.findall(rf"--jp-{name}: (#\w{{6}})", STYLE)[theme]
        for name in (
            "layout-color0",
            "layout-color2",
            "ui-font-color0",
            "ui-font-color2",
            "brand-color1",
        )
    }
    script = (HERE.parent / "studio" / "studio.js").read_text(encoding="utf-8")
    dark, light = re.search(r'S\.warn = S\.dark \? "(#\w+)" : "(#\w+)"', script).groups()
    words = [
        found["ui-font-color0"],
        found["ui-font-color2"],
        found["brand-color1"],
        (light, dark)[theme],
    ]
    for colour in words:
        assert contrast(colour, found["layout-color0"]) >= AA, colour
    for colour in words[:2]:
        assert contrast(colour, found["layout-color2"]) >= AA, colour
