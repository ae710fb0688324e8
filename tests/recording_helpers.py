"""A short search that is recorded, and what it left."""

from dataclasses import replace

from helpers import Stream, small_lab

from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.events import Evaluated, Turned
from mtlnas_lab.core.search import Search
from mtlnas_lab.runs.event_file import read_events
from mtlnas_lab.runs.run_writer import RunWriter

STEPS = 8


def a_search(evaluate_every=3):
    lab = small_lab()
    config = SearchConfig(
        steps=STEPS, batch_size=2, evaluate_every=evaluate_every, alpha_gates="stochastic"
    )
    return Search(
        lab,
        config,
        Stream(lab),
        Stream(lab, first=7),
        evaluate=lambda search: {
            "hard": {"normals": {"alpha": float(search.lab.alphas.alpha.detach().sum())}}
        },
    )


def folder(path, again=False):
    search = a_search()
    return (
        RunWriter.resume(path)
        if again
        else RunWriter.create(path, search.config.to_json(), search.lab.space)
    )


def told(path):
    log = read_events(path / "events.jsonl")
    return [replace(e, seconds=0.0) for e in log.steps], log.of(Evaluated), log.of(Turned)
