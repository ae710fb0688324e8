"""Two small tables of 16 graphs whose values are known, and rooms that are drawn at once."""

import numpy as np
import pandas
import pytest

from mtlnas_lab.bench import condition as conditions
from mtlnas_lab.bench.condition import Condition
from mtlnas_lab.bench.searchers import supernet
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.data.dataset import ImageDataset
from mtlnas_lab.data.rooms import CLASSES, ROOMS, render

SMALL = Condition(
    "small", "Two stages a network.", ("segmentation", "normals"), (1, 1), seeds=(0, 1, 2)
)
EDGES = 4
GRAPHS = 2**EDGES
TRAINED = 300 + 10 / 3  # steps of a training, and 160 images in batches of 16 that are looked at


def table_of(val, test) -> FusionTable:
    """A table with these total losses, each (graphs, seeds)."""
    records = []
    for graph, seed in np.ndindex(val.shape):
        record = {"graph": graph, "seed": seed, "parameters": 1, "operations": 1, "seconds": 1.0}
        for split, values in (("val", val), ("test", test)):
            record[f"{split}/trained/segmentation/loss"] = values[graph, seed]
            record[f"{split}/trained/normals/loss"] = 0.0
        records.append(record)
    about = {"weights": {"segmentation": 1.0, "normals": 20.0}}
    return FusionTable(SMALL, pandas.DataFrame(records), about)


def rugged(seed: int = 0):
    """Losses (graphs, seeds) without any order."""
    return np.random.default_rng(seed).normal(size=(GRAPHS, 3))


def smooth():
    """Losses (graphs, seeds) to which each edge adds its part: best are edges 1 and 2 alone."""
    kept = np.arange(GRAPHS)[:, None] >> np.arange(EDGES) & 1
    return np.repeat(kept @ [[0.3], [-0.2], [-0.1], [0.4]], 3, axis=1)


@pytest.fixture
def rough():
    return table_of(rugged(0), rugged(1))


@pytest.fixture
def even():
    return table_of(smooth(), smooth())


@pytest.fixture(scope="session")
def few_rooms():
    packs = {}
    for seed, (split, count) in enumerate({"train": 40, "val": 8, "test": 8}.items()):
        arrays = render(count, 16, seed=seed)
        arrays["seg_names"] = np.array(["unlabelled", *CLASSES])
        arrays["room_names"] = np.array(ROOMS)
        packs[split] = ImageDataset.from_arrays(arrays, name=f"rooms/{split}")
    return packs


@pytest.fixture
def quick(monkeypatch, few_rooms):
    """Supernets that learn from few small rooms; a look costs 1 training step, as 24 + 24 images do."""
    monkeypatch.setattr(conditions, "rooms", lambda: few_rooms)
    monkeypatch.setitem(conditions.IMAGES, "val", 24)
    monkeypatch.setattr(supernet, "AVERAGED", 24)
