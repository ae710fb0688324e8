"""How fast the lab is, as ratios measured side by side: `make bench`, or python benchmarks/bench.py [--released PATH].

Everything is timed in one process, the two sides of a ratio in turn, and medians are compared, so that a machine that
slows down slows both. Every ratio names the precision and the layout of its floor. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from mtlnas_lab.analysis.edge_importance import ablate
from mtlnas_lab.core.evaluate import evaluate
from mtlnas_lab.core.fusion import NDDR
from mtlnas_lab.core.lab import Lab
from mtlnas_lab.core.relaxation import ArchitectureWeights
from mtlnas_lab.core.search import Search, SearchConfig
from mtlnas_lab.core.space import SearchSpace
from mtlnas_lab.core.supernet import SuperNet
from mtlnas_lab.models.baselines import all_edges, random_graph
from mtlnas_lab.models.pruned import fold_batch_norm, prune
from mtlnas_lab.models.vgg import vgg16
from mtlnas_lab.tasks.task import Depth, Normals, Segmentation

SIZE, BATCH, QUARTER = (96, 128), 8, (16, 32, 64, 128, 128)


def interleaved(sides: dict, rounds: int, warm: int = 2) -> dict[str, float]:
    """{name: median seconds} of functions called in turn."""
    times = {name: [] for name in sides}
    for number in range(warm + rounds):
        for name, function in sides.items():
            start = time.perf_counter()
            function()
            if number >= warm:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def make_lab(
    tasks: int = 2, widths=QUARTER, hidden: int = 256, field: int = 12, channels_last: bool = False
) -> Lab:
    torch.manual_seed(0)
    made = [
        Segmentation("segmentation", 13),
        Normals("normals"),
        *(Depth(f"depth{i}") for i in range(tasks - 2)),
    ][:tasks]
    backbones = {
        t.name: vgg16(t.channels, widths=widths, hidden=hidden, field=field, dropout=0.0)
        for t in made
    }
    space = SearchSpace.build({name: backbone.plan for name, backbone in backbones.items()})
    lab = Lab(
        {t.name: t for t in made}, SuperNet(backbones, space, NDDR), ArchitectureWeights(len(space))
    )
    if channels_last:
        lab.supernet.to(memory_format=torch.channels_last)
    return lab


def make_batch(lab: Lab, seed: int, size=SIZE, count: int = BATCH, channels_last: bool = False):
    g = torch.Generator().manual_seed(seed)
    image = torch.randn(count, 3, *size, generator=g)
    normals = F.normalize(torch.randn(count, 3, *size, generator=g), dim=1)
    targets = {
        "segmentation": torch.randint(0, 13, (count, *size), generator=g),
        "normals": normals,
    }
    targets |= {
        name: torch.rand(count, 1, *size, generator=g) + 1
        for name in lab.tasks
        if name not in targets
    }
    return image.contiguous(memory_format=torch.channels_last) if channels_last else image, targets


def forever(item):
    while True:
        yield item


def a_search(lab: Lab, precision: str = "float32", **layout) -> Search:
    config = SearchConfig(
        steps=10**6,
        optimizer="sgd",
        weight_lr=1e-4,
        alpha_lr=1e-3,
        precision=precision,
        alpha_gates="deterministic",
        weight_gates="deterministic",
    )
    return Search(
        lab, config, forever(make_batch(lab, 0, **layout)), forever(make_batch(lab, 1, **layout))
    )


def floor_step(lab: Lab, precision: str = "float32", **layout):
    """The least that the same two batches cost without fusion: on one, forward and the gradients of activations; on the
    other, forward and all gradients. No optimiser, no α."""
    batches = [make_batch(lab, seed, **layout) for seed in (0, 1)]
    parameters = list(lab.supernet.backbones.parameters())
    lab.supernet.backbones.train()

    def loss(image, targets):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            outputs = {task: backbone(image) for task, backbone in lab.supernet.backbones.items()}
        losses = lab.loss({task: output.float() for task, output in outputs.items()}, targets)
        return sum(lab.tasks[name].weight * value for name, value in losses.items())

    def step():
        for parameter in parameters:
            parameter.requires_grad_(False)
        image = batches[0][0].detach().requires_grad_()
        loss(image, batches[0][1]).backward()
        for parameter in parameters:
            parameter.requires_grad_(True)
            parameter.grad = None
        loss(*batches[1]).backward()

    return step


# --- the ratios -------------------------------------------------------------------------------------------------------
def ratio_a(rounds: int) -> None:
    print(
        "\n(a) one search step / floor (two plain backbones, same two batches), VGG-16 at a quarter of its widths"
    )
    sides = {}
    for name, precision, layout in (
        ("float32, contiguous", "float32", {}),
        ("float32, channels-last", "float32", {"channels_last": True}),
        ("bf16, channels-last", "bf16", {"channels_last": True}),
    ):
        sides[f"step {name}"] = a_search(make_lab(**layout), precision, **layout).step
        sides[f"floor {name}"] = floor_step(make_lab(**layout), precision, **layout)
    t = interleaved(sides, rounds)
    floors = {
        name.removeprefix("floor "): value for name, value in t.items() if name.startswith("floor")
    }
    for name, value in t.items():
        if name.startswith("step"):
            own = name.removeprefix("step ")
            print(
                f"    {own:24} {1e3 * value:7.1f} ms   floor of its own {1e3 * floors[own]:7.1f} ms   ratio {value / floors[own]:.2f}"
                f"   / float32 contiguous floor {value / floors['float32, contiguous']:.2f}"
            )
    print(
        f"    (c) bf16 + channels-last against float32 contiguous: {t['step float32, contiguous'] / t['step bf16, channels-last']:.2f}x faster,"
        f" against float32 channels-last: {t['step float32, channels-last'] / t['step bf16, channels-last']:.2f}x"
    )


def half_closed(search: Search) -> Search:
    """The search, with every second edge shut for good."""
    edges = search.lab.space.edges[::2]
    search.turn(force=dict.fromkeys(edges, False))
    search.controls.apply_turned(search.communicator)
    return search


def ratio_g(rounds: int) -> None:
    print(
        "\n(g) one search step when half of the edges have closed for good (`close_below`), float32"
    )
    sides = {}
    for name, layout in (("contiguous", {}), ("channels-last", {"channels_last": True})):
        sides[f"all {name}"] = a_search(make_lab(**layout), **layout).step
        sides[f"half {name}"] = half_closed(a_search(make_lab(**layout), **layout)).step
        sides[f"floor {name}"] = floor_step(make_lab(**layout), **layout)
    t = interleaved(sides, rounds)
    for name in ("contiguous", "channels-last"):
        whole, half, floor = (t[f"{kind} {name}"] for kind in ("all", "half", "floor"))
        print(
            f"    {name:13} all edges / floor {whole / floor:.2f}   half of them / floor {half / floor:.2f}   "
            f"half / all {half / whole:.2f}   (floor {1e3 * floor:.1f} ms)"
        )


def ratio_m(rounds: int) -> None:
    """A process of its own for each side, so that none finds memory that another one has left."""
    if not Path("/proc/self/clear_refs").exists():
        print("\n(m) peak memory: left out, it is read from Linux's /proc")
        return
    print(
        "\n(m) peak memory of a step, beyond what networks, images and torch have before it; float32"
    )
    peaks = {}
    held = {}
    for side in ("floor", "all", "half"):
        code = f"import bench; bench.peak({side!r})"
        command = [sys.executable, "-c", code]
        told = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent
        )
        peaks[side], held[side] = map(float, told.stdout.split())
    for name, of in (("tensors", held), ("process", peaks)):
        print(
            f"    {name}: floor {of['floor']:.0f} MB   all edges / floor {of['all'] / of['floor']:.2f}   "
            f"half of them / floor {of['half'] / of['floor']:.2f}"
        )


def peak(side: str) -> None:
    """Prints how many MB two steps of one side take at most, beyond what the process has before them (Linux); and how many
    of them the tensors of a third step are: the allocator may keep more than it was asked for."""
    lab = make_lab()
    if side == "floor":
        step = floor_step(lab)
    else:
        search = a_search(lab)
        step = (half_closed(search) if side == "half" else search).step
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew from here
    before = memory("VmRSS")
    step()
    step()
    print(memory("VmHWM") - before, most_held(step))


def most_held(step) -> float:
    """The most MB that tensors made in a step have at one time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    asked = [event for event in events if event["name"] == "[memory]"]
    asked.sort(key=lambda event: event["ts"])
    sizes = [event["args"]["Bytes"] for event in asked]  # below 0 where memory is given back
    return max(accumulate(sizes)) / 2**20


def memory(kind: str) -> float:
    """MB of this process: VmRSS, what it has; VmHWM, the most it had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(kind)]
    return int(line.split()[1]) / 1024


def ratio_b(rounds: int, released: str) -> None:
    print(
        "\n(b) a search step of the released code / ours; same weights, batches, float32 for the released, threads"
    )
    lab = make_lab()
    theirs = released_step(released, lab)
    last = {"channels_last": True}
    t = interleaved(
        {
            "released float32": theirs,
            "ours float32": a_search(make_lab()).step,
            "ours float32, channels-last": a_search(make_lab(**last), **last).step,
            "ours bf16, channels-last": a_search(make_lab(**last), "bf16", **last).step,
        },
        rounds,
    )
    for name, value in t.items():
        print(
            f"    {name:28} {1e3 * value:7.1f} ms   released / this {t['released float32'] / value:.2f}"
        )


def released_step(path: str, lab: Lab):
    """A step as the released training script does it, on the released supernet with `lab`'s weights."""
    sys.path.insert(0, path)
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        from core.config import cfg
        from core.models import vgg_connectivity
        from core.models.common_layers import Stage
        from core.models.supernet import GeneralizedMTLNASNet

        cfg.merge_from_list(
            [
                "CUDA",
                False,
                "ARCH.SEARCHSPACE",
                "GeneralizedMTLNAS",
                "ARCH.ENTROPY_REGULARIZATION",
                True,
                "ARCH.ENTROPY_PERIOD",
                (0.0, 0.0),
                "ARCH.HARD_ARCH_TRAINING",
                False,
                "ARCH.HARD_WEIGHT_TRAINING",
                False,
                "MODEL.INIT",
                (0.9, 0.1),
            ]
        )

        class Net(torch.nn.Module):
            def __init__(self, backbone):
                super().__init__()
                self.stages = torch.nn.ModuleList(
                    Stage(p.channels, s) for p, s in zip(backbone.plan, backbone.stages)
                )
                self.head, self.base, self.fc_id = backbone.head, lambda x: x, "head.10"

        nets = [Net(backbone) for backbone in make_lab().supernet.backbones.values()]
        model = GeneralizedMTLNASNet(cfg, *nets, vgg_connectivity(), vgg_connectivity())
    for name, operation in lab.supernet.fusion.items():
        task, stage = name.split(":")
        theirs = model.paths["net1_paths" if task == "segmentation" else "net2_paths"][int(stage)]
        theirs.conv.load_state_dict(operation.conv.state_dict())
    model.train()
    optimizer = torch.optim.SGD(model.net_parameters(), 1e-4, momentum=0.9)
    arch_optimizer = torch.optim.Adam(model.arch_parameters(), 1e-3, betas=(0.5, 0.999))
    batches = []
    for seed in (0, 1):
        image, targets = make_batch(lab, seed)
        batches.append((image, (targets["segmentation"][:, None], targets["normals"])))

    def step():
        model.arch_train()
        arch_optimizer.zero_grad()
        model.loss(*batches[0]).loss.backward()
        arch_optimizer.step()
        model.arch_eval()
        optimizer.zero_grad()
        model.loss(*batches[1]).loss.backward()
        optimizer.step()
        model.step()

    return step


@torch.no_grad()
def ratio_d(rounds: int) -> None:
    print(
        "\n(d) inference: pruned network / two plain backbones, and the all-edges supernet / the pruned one; float32"
    )
    full = (64, 128, 256, 512, 512)
    for widths, hidden, count, layout in (
        (full, 1024, 2, {}),
        (full, 1024, 2, {"channels_last": True}),
        (QUARTER, 256, BATCH, {}),
        (QUARTER, 256, BATCH, {"channels_last": True}),
    ):
        lab = make_lab(widths=widths, hidden=hidden, **layout)
        lab.supernet.eval()
        image, _ = make_batch(lab, 0, count=count, **layout)
        for edges in (0, 18, 24, 48):
            found = random_graph(lab.space, edges, seed=1)
            pruned, everything = prune(lab.supernet, found), all_edges(lab.space).kept
            plain = lab.supernet.backbones
            folded = fold_batch_norm(copy.deepcopy(plain))
            t = interleaved(
                {
                    "pruned": lambda: pruned(image),
                    "all edges": lambda: lab.supernet(image, everything),
                    "supernet, these gates": lambda: lab.supernet(image, found.kept),
                    "folded": lambda: [backbone(image) for backbone in folded.values()],
                    "plain": lambda: [backbone(image) for backbone in plain.values()],
                },
                rounds,
            )
            print(
                f"    {'full widths' if widths is full else 'a quarter':11} {'channels-last' if layout else 'contiguous':13} {edges:2} edges: pruned / plain {t['pruned'] / t['plain']:.2f}"
                f"   pruned / plain with folded batch norm {t['pruned'] / t['folded']:.2f}   all edges / pruned {t['all edges'] / t['pruned']:.2f}   all edges / plain {t['all edges'] / t['plain']:.2f}"
            )


def ratio_e(rounds: int) -> None:
    def run(code):
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    t = interleaved(
        {
            "torch": run("import torch"),
            "lab": run("import mtlnas_lab"),
            "search": run("import torch; from mtlnas_lab.core.search import Search"),
        },
        rounds,
        warm=1,
    )
    print(
        f"\n(e) import mtlnas_lab / import torch: {t['lab'] / t['torch']:.2f}   with the search and all it needs: "
        f"{t['search'] / t['torch']:.2f}   (import torch {t['torch']:.2f} s)"
    )


def ratio_f(rounds: int) -> None:
    print("\n(f) step time over tasks and depth (eighth of the widths, 64 × 64, batch 8, float32)")
    sides, edges = {}, {}
    for tasks in (2, 3, 4, 5):
        lab = make_lab(tasks, (8, 16, 32, 64, 64), 128)
        sides[f"{tasks} tasks"], edges[f"{tasks} tasks"] = (
            a_search(lab, size=(64, 64)).step,
            len(lab.space),
        )
    t = interleaved(sides, rounds)
    for name, value in t.items():
        print(
            f"    {name}: {1e3 * value:7.1f} ms, {edges[name]:3} edges; a task {1e3 * value / int(name[0]):6.1f} ms, "
            f"above 2 tasks a further edge {1e3 * (value - t['2 tasks']) / max(edges[name] - edges['2 tasks'], 1):.2f} ms"
        )


def ratio_w(rounds: int) -> None:
    print("\n(w) what each of 24 edges is worth, float32: a whole evaluation an edge / `ablate`")
    lab = make_lab()
    batch = make_batch(lab, 0)
    found = random_graph(lab.space, 24, seed=1)

    def one_by_one():
        for i, keep in enumerate(found.kept):
            if keep:
                evaluate(lab.supernet, found.flipped(i), lab.tasks, [batch])

    t = interleaved(
        {"one by one": one_by_one, "ablate": lambda: ablate(lab, found, lambda: [batch])}, rounds
    )
    print(
        f"    one by one {t['one by one']:.2f} s   ablate {t['ablate']:.2f} s   "
        f"one by one / ablate {t['one by one'] / t['ablate']:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--released", help="folder of a checkout of the released code (needs yacs), for (b)"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", default="abdefgmw")
    parser.add_argument("--quick", action="store_true", help="steps and memory alone, in a minute")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds = 3
        arguments.only = "gm"
    torch.set_num_threads(arguments.threads)
    model = (
        next(
            (
                line.split(":")[1].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if "model name" in line
            ),
            "",
        )
        if Path("/proc/cpuinfo").exists()
        else platform.processor()
    )
    print(
        f"{datetime.date.today()}  {model}, {os.cpu_count()} cores, {arguments.threads} thread(s), load {os.getloadavg()[0]:.1f}, "
        f"torch {torch.__version__}, python {platform.python_version()}\n{' '.join(['python', *sys.argv])}\n"
        f"{BATCH} images of {SIZE[0]} × {SIZE[1]}, medians of {arguments.rounds} interleaved rounds"
    )
    measures = {
        "a": ratio_a,
        "d": ratio_d,
        "e": ratio_e,
        "f": ratio_f,
        "g": ratio_g,
        "m": ratio_m,
        "w": ratio_w,
    }
    for letter, measure in measures.items():
        if letter in arguments.only:
            measure(arguments.rounds)
    if arguments.released and "b" in arguments.only:
        ratio_b(arguments.rounds, arguments.released)
    elif "b" in arguments.only:
        print("\n(b) left out: give --released PATH, a checkout of the released code")


if __name__ == "__main__":
    main()
