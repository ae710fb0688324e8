"""Where a picture comes from."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib import metadata as packages

from ..runs.event_log import EventLog
from ..runs.run import Run
from .seeing import sentences, sights
from .sources import opened


def provenance(source=None, step: int | None = None, **more) -> dict:
    """Say where a picture comes from, as far as the source knows it.

    Args:
        source: a Run or its folder, an EventLog, a Search or a Lab, or anything else, of which only versions are known.
        step: of the search that is shown; by default its last one.
        **more: further entries, of plain types that JSON can hold.

    Returns:
        {name: value}: package, versions, and of a recorded search run (its folder's name), config (the first 16 digits of
        the SHA-256 of its configuration), seed and step. Where a network does not see the image, or did not: views,
        visibility (at that step) and seen (in words).

    Example:
        >>> found = provenance(None, made_by="figures.py")
        >>> found["package"], found["made_by"], sorted(found["versions"])
        ('mtlnas_lab', 'figures.py', ['matplotlib', 'networkx'])
    """
    found: dict = {"package": "mtlnas_lab", "versions": dict(_versions())}
    source = opened(source)
    eyes = sights(source, step)
    if eyes:
        found["views"] = {task: sight.view for task, sight in eyes.items()}
        found["visibility"] = {task: sight.share for task, sight in eyes.items()}
        found["seen"] = sentences(eyes)
    if isinstance(source, Run):
        found["run"] = source.path.resolve().name
        source = source.log
    if isinstance(source, EventLog) and source.started:
        config = source.started.config
        text = json.dumps(config, sort_keys=True)
        found["config"] = hashlib.sha256(text.encode()).hexdigest()[:16]
        found["seed"] = config.get("seed")
        found["step"] = 0
        if source.steps:
            found["step"] = source.steps[-1].step
        # What a search ran under counts less than what draws it now, where both name one package.
        found["versions"] = {**source.started.versions, **found["versions"]}
    if step is not None:
        found["step"] = step
    return found | more


@lru_cache(maxsize=1)
def _versions() -> tuple[tuple[str, str], ...]:
    return tuple((name, packages.version(name)) for name in ("matplotlib", "networkx"))
