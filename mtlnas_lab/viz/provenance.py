"""Where a picture comes from."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib import metadata as packages

from ..runs.event_log import EventLog
from ..runs.run import Run
from .sources import opened


def provenance(source=None, **more) -> dict:
    """Where a picture comes from: run, hash of its config, seed, step and versions, as far as the source knows them."""
    found: dict = {"package": "mtlnas_lab", "versions": dict(_versions())}
    source = opened(source)
    if isinstance(source, Run):
        found["run"], source = source.path.resolve().name, source.log
    if isinstance(source, EventLog) and source.started:
        config = source.started.config
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]
        found |= {
            "config": digest,
            "seed": config.get("seed"),
            "step": source.steps[-1].step if source.steps else 0,
            "versions": {**source.started.versions, **found["versions"]},
        }
    return {**found, **more}


@lru_cache(maxsize=1)
def _versions() -> tuple[tuple[str, str], ...]:
    return tuple((name, packages.version(name)) for name in ("matplotlib", "networkx"))
