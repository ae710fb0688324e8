"""Two gloo processes on this machine: equal to one, α and w the same everywhere, killed and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import Stream, small_lab

from mtlnas_lab.cli.hints import flags_of_hints
from mtlnas_lab.core.communicator import SingleProcess
from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.fusion import ResidualFusion
from mtlnas_lab.core.search import Search
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.runs.distributed import FabricCommunicator, Part
from mtlnas_lab.runs.run import Run

pytest.importorskip("lightning_fabric", reason="the extra `scale` is not installed")
HERE = Path(__file__).parents[1]  # of the helpers
CONFIG = SearchConfig(steps=4, alpha_lr=0.05, entropy_weight=1.0)
BLIND = replace(CONFIG, visibility={"segmentation": 0.5})


def lab_of(kind):
    return small_lab() if kind == "nddr" else small_lab(fusion=ResidualFusion)


def config_of(kind):
    return BLIND if kind == "blind" else CONFIG


def search_of(lab, config=CONFIG, **more):
    return Search(lab, config, Stream(lab), Stream(lab, first=10), **more)


def part_of(seen, i):
    """Every second image from `i` on, of what the networks see."""
    if isinstance(seen, torch.Tensor):
        return seen[i::2]
    return {task: image[i::2] for task, image in seen.items()}


class Halves(Search):
    """One process that does the two half-batches one after the other: what two processes should be."""

    def _losses(self, image, targets, gates):
        parts = [
            super(Halves, self)._losses(
                part_of(image, i), {t: v[i::2] for t, v in targets.items()}, gates
            )
            for i in range(2)
        ]
        return {task: (parts[0][task] + parts[1][task]) / 2 for task in parts[0]}


def torchrun(*arguments, processes=2, **more):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={processes}",
            *map(str, arguments),
        ],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(HERE),
            "PYTHONWARNINGS": "ignore",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **more,
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["residual", "nddr", "blind"])
def test_two_processes_equal_one(kind, tmp_path):
    process = torchrun(__file__, kind, tmp_path)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), f"{name} differs between the processes"
    lab = lab_of(kind)
    one = Halves(lab, config_of(kind), Stream(lab), Stream(lab, first=10))
    events = [one.step() for _ in range(CONFIG.steps)]
    torch.testing.assert_close(first["alpha"], lab.alphas.alpha.detach(), atol=1e-4, rtol=0)
    for name, value in lab.supernet.named_parameters():
        torch.testing.assert_close(first[name], value.detach(), atol=1e-4, rtol=1e-3, msg=name)
    told = json.loads((tmp_path / "losses.json").read_text())
    assert told == pytest.approx([event.loss["segmentation"] for event in events], abs=1e-4)
    alone = search_of(lab_of(kind))  # and the test can fail: other halves, other numbers
    [alone.step() for _ in range(CONFIG.steps)]
    if kind == "nddr":
        assert (first["alpha"] - alone.lab.alphas.alpha).abs().max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 1])
def test_the_command_on_two_processes_is_killed_and_goes_on_on_two_or_one(processes, tmp_path):
    run = [
        "-m",
        "mtlnas_lab",
        "search",
        "--out",
        tmp_path / "run",
        "--steps",
        30,
        "--baselines",
        "none",
        "--checkpoint-every",
        5,
        "--evaluate-every",
        5,
        "--device",
        "cpu",
        "--threads",
        1,
    ]
    process = torchrun(*run, start_new_session=True)
    log = tmp_path / "run" / "events.jsonl"
    for _ in range(1200):
        if log.exists() and b'"step": 12,' in log.read_bytes().replace(
            b'"step":12,', b'"step": 12,'
        ):
            break
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    workers = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True
    ).stdout.split()
    os.kill(int(workers[-1]), signal.SIGKILL)  # one process dies
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    there = Run.open(tmp_path / "run").checkpoints()
    assert there and there[-1].step >= 10
    process = torchrun(*run, "--resume", processes=processes)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    folder = Run.open(tmp_path / "run")
    assert [step.step for step in folder.log.steps] == list(range(1, 31)) and folder.scores()[
        "hard"
    ]
    alone = subprocess.run(
        [sys.executable, "-m", "mtlnas_lab", "evaluate", tmp_path / "run", "--device", "cpu"],
        capture_output=True,
        text=True,
    )
    assert alone.returncode == 0 and "miou" in alone.stdout


def test_parts_of_a_batch():
    lab = small_lab()
    whole, parts = next(Stream(lab)), [next(Part(Stream(lab), rank, 2)) for rank in range(2)]
    assert torch.equal(torch.stack([parts[0][0][0], parts[1][0][0]]), whole[0])
    part = Part(Stream(lab), 1, 2)
    part.position = 3
    assert part.position == 3 and part.batches.position == 3
    for images, world in ((2, 5), (10, 8)):  # ten images for eight: some would count for less
        with pytest.raises(
            ConfigError,
            match=f"cannot be shared by {world} processes; give a batch_size of {world} or a multiple",
        ):
            next(Part(iter([(torch.zeros(images, 3, 8, 8), {})]), 0, world))


def test_each_process_sees_the_noise_of_its_own_part():
    """The whole batch's noise, drawn alike in both, of which each takes its part."""

    class Second(SingleProcess):
        def __init__(self, rank):
            self.rank = rank
            self.world_size = 2

        def shard(self, batches):
            return Part(batches, self.rank, self.world_size)

    whole, _ = next(search_of(small_lab(), BLIND).seen_by_weights)
    parts = []
    for rank in range(2):
        search = search_of(small_lab(), BLIND, communicator=Second(rank))
        parts.append(next(search.seen_by_weights))
        assert search.weight_batches.position == 1
    for rank, (seen, targets) in enumerate(parts):
        for task in seen:
            assert torch.equal(seen[task], whole[task][rank::2])
        assert len(targets["normals"]) == len(seen["normals"]) == 1
    assert not torch.equal(parts[0][0]["segmentation"], parts[1][0]["segmentation"])


def test_gpus_that_are_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        ConfigError, match="started 2 processes here, but there are 1 GPUs; start 1$"
    ) as caught:
        FabricCommunicator()
    assert flags_of_hints(caught.value) == " (--nproc-per-node 1)"


def test_ranks_that_disagree_are_refused():
    """Another seed, another width, another space: as if process 0 had made small_lab()."""
    leader, second = object.__new__(FabricCommunicator), object.__new__(FabricCommunicator)
    leader.rank, second.rank, said = 0, 1, {}
    leader.broadcast = lambda value: said.setdefault(type(value), value)
    second.broadcast = lambda value: said[type(value)]
    leader.check_in_sync(small_lab())
    assert second.check_in_sync(small_lab()).space == small_lab().space
    for other in (small_lab(seed=1), small_lab(widths=(4, 4, 4, 4, 4)), small_lab(tasks=3)):
        with pytest.raises(
            ConfigError,
            match="process 1 made other networks than process 0; give all of them the same settings",
        ):
            second.check_in_sync(other)
    leader.check_in_sync(small_lab(), CONFIG)
    second.check_in_sync(small_lab(), CONFIG)
    with pytest.raises(
        ConfigError,
        match=r"process 1 has other settings than process 0 \(alpha_lr = 0.5 here, 0.05 there\)",
    ):
        second.check_in_sync(small_lab(), replace(CONFIG, alpha_lr=0.5))


def worker(kind, out):
    """What each of two processes does."""
    communicator = FabricCommunicator("cpu")
    torch.set_num_threads(1)
    lab = communicator.check_in_sync(lab_of(kind))
    search = search_of(lab, config_of(kind), communicator=communicator)
    losses = [search.step() for _ in range(CONFIG.steps)] if kind else []
    torch.save(
        {
            "alpha": lab.alphas.alpha.detach(),
            **{n: v.detach() for n, v in lab.supernet.state_dict().items()},
        },
        f"{out}/{communicator.rank}.pt",
    )
    if communicator.is_main_process:
        Path(out, "losses.json").write_text(
            json.dumps([event.loss["segmentation"] for event in losses])
        )


if __name__ == "__main__":
    worker(sys.argv[1], sys.argv[2])
