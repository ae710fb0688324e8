"""Save and load everything that a resumed search needs: it then does what one that was never stopped would do.

A state is tensors by name and plain JSON. It may come from a file that somebody else wrote, so all of it is checked
before any of it is taken over: a refused state changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..errors import ConfigError, RunError
from ..storage.checkpoints import misfit
from ..storage.jsonl import from_jsonable
from ..storage.torch_states import generator_fits, take_moments
from ..values import told, whole
from .closing import checked_counts
from .controls import turned, without_freed

OPTIMIZERS = ("weight_optimizer", "alpha_optimizer")
GENERATORS = ("generator", "noise")


# --- save -------------------------------------------------------------------------------------------------------------
def state_of(search) -> tuple[dict[str, Tensor], dict]:
    """Everything that a resumed `search` needs: tensors by name, and plain JSON."""
    tensors = _network_tensors(search)
    tensors |= {name: getattr(search, name).get_state() for name in GENERATORS}
    for name in OPTIMIZERS:
        for i, entries in getattr(search, name).state_dict()["state"].items():
            # SGD without momentum remembers nothing: None
            found = {entry: value for entry, value in entries.items() if value is not None}
            tensors |= {f"{name}.{i}.{entry}": value for entry, value in found.items()}
    notes = {
        "step": search.step_number,
        "knobs": search.controls.to_json(),
        "threads": torch.get_num_threads(),
        "positions": [getattr(batches, "position", None) for batches in _batches(search)],
        "low_for": search.closing.low_for,
    }
    return tensors, notes


def _network_tensors(search) -> dict[str, Tensor]:
    """The tensors of a state that are of the networks and of α."""
    weights = search.lab.supernet.state_dict()
    tensors = {f"supernet.{name}": value for name, value in weights.items()}
    return tensors | {"alpha": search.lab.alphas.alpha.detach()}


def _batches(search) -> tuple:
    return search.weight_batches, search.alpha_batches


# --- load -------------------------------------------------------------------------------------------------------------
def restore(search, tensors: Mapping[str, Tensor], meta: Mapping) -> list[str]:
    """Take `search` back to a state. Returns notices: what could not be taken over as it was.

    Raises RunError for the state of another space or network, and for what is not a state; then nothing changes.
    """
    step, knobs, positions = _notes(search, meta)
    low_for = _low_for(search, meta)
    networks, moments, notices = _parts(search, tensors)
    _go_to(search, positions)  # the only part that others wrote, and which may refuse
    weights = {name.removeprefix("supernet."): value for name, value in networks.items()}
    with torch.no_grad():
        search.lab.alphas.alpha.copy_(weights.pop("alpha"))
    search.lab.supernet.load_state_dict(weights)
    search.generator.set_state(tensors["generator"].cpu())
    if notices:
        search.noise.manual_seed((search.config.seed + 1 + step) % 2**64)
    else:
        search.noise.set_state(tensors["noise"].cpu())
    for name, entries in moments.items():
        optimizer = getattr(search, name)
        optimizer.load_state_dict(optimizer.state_dict() | {"state": entries})
    search.step_number = step
    search.controls.restore(knobs)
    search.closing.low_for = low_for
    search.passes.begin(step)
    search.cover_eyes()
    search.between_steps = True
    return notices


def refusal(search, tensors: Mapping[str, Tensor], meta: Mapping) -> str:
    """Why this is not a state that `search` can go back to; "" where it is. Changes nothing."""
    try:
        _, _, positions = _notes(search, meta)
        _low_for(search, meta)
        _parts(search, tensors)
        _check_positions(search, positions)
    except RunError as error:
        return str(error)
    read = meta.get("requests_read", 0)
    if type(read) is not int or not 0 <= read < 2**53:
        return f"requests_read = {told(read)} is not a number of bytes"
    return ""


# --- check ------------------------------------------------------------------------------------------------------------
def _parts(search, tensors: Mapping[str, Tensor]) -> tuple[dict, dict, list[str]]:
    """A state's tensors, if each of them fits the search. Raises RunError.

    Returns:
        The networks' and α's; {optimizer: {parameter: entries}}; notices about what cannot be taken over as it was.
    """
    owners = (*GENERATORS, *OPTIMIZERS)  # a tensor's name begins with what it belongs to
    others = {name: value for name, value in tensors.items() if name.partition(".")[0] in owners}
    networks = {name: value for name, value in tensors.items() if name not in others}
    problem = misfit(networks, _network_tensors(search))
    if problem:
        raise RunError(
            f"this checkpoint is of another network than {search.lab.space!r} ({problem}); "
            "resume with the settings it was made with"
        )
    notices = _generators_fit(search, others)
    moments = {name: take_moments(name, getattr(search, name), others) for name in OPTIMIZERS}
    if others:
        raise RunError(f"this checkpoint has a tensor {told(min(others))}, which no search has")
    return networks, moments, notices


def _notes(search, meta: Mapping) -> tuple[int, dict, list]:
    """(step, knobs, positions) of a state. Raises RunError."""
    try:
        step, knobs, positions = (meta[name] for name in ("step", "knobs", "positions"))
        if type(step) is not int:
            raise ConfigError(f"step = {told(step)} is not an integer")
        whole("step", step, most=search.config.steps)
        if not isinstance(knobs, Mapping):
            raise ConfigError(f"knobs = {told(knobs)} are not {{name: value}}")
        knobs = turned(from_jsonable(dict(knobs)), search.lab.space)
        if not isinstance(positions, list | tuple) or len(positions) != 2:
            raise ConfigError(f"positions = {told(positions)} are not two")
    except (KeyError, TypeError, ConfigError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise RunError(
            f"this checkpoint is not of a search of {search.config.steps} steps: {what}"
        ) from None
    if "force" in knobs:
        knobs["force"] = without_freed(knobs["force"])
    return step, knobs, list(positions)


def _low_for(search, meta: Mapping) -> list[int]:
    """For how long each gate has been low; of a state from before there was such a count, 0. Raises RunError."""
    edges = len(search.lab.space)
    try:
        return checked_counts(meta.get("low_for", [0] * edges), edges)
    except ConfigError as error:
        raise RunError(f"this checkpoint is damaged: {error}") from None


def _generators_fit(search, others: dict[str, Tensor]) -> list[str]:
    """Takes the generators' states out of `others`; notices where the noise has to begin anew. Raises RunError."""
    for name in GENERATORS:
        if name not in others:
            raise RunError(f"this checkpoint has no tensor {name!r}, which every search has")
    if not generator_fits(search.generator, others.pop("generator")):
        raise RunError("the generator in this checkpoint is not the state of one")
    noise = others.pop("noise")
    if generator_fits(search.noise, noise):
        return []
    own = search.noise.get_state()
    # a state of another length is that of another device's generator; of the same length it is damaged
    if noise.dtype != own.dtype or noise.ndim != 1 or noise.shape == own.shape:
        raise RunError("the noise in this checkpoint is not the state of a generator")
    return [
        f"this checkpoint was made on another kind of device than {search.lab.device}: dropout begins anew, "
        "from the seed and the step, so the steps that follow are not those the other device would have done"
    ]


def _check_positions(search, positions: Sequence) -> None:
    """Raises RunError for what cannot be a position of these batches."""
    for batches, position in zip(_batches(search), positions):
        if position is None:
            continue
        at = getattr(batches, "position", None)
        fine = type(position) is type(at)
        if not fine or (type(at) is int and not 0 <= position < 2**53):
            raise RunError(
                f"this checkpoint's position in the batches is {told(position)}; "
                f"these batches are at {told(at)}"
            )


def _go_to(search, positions: Sequence) -> None:
    """Take the batches to these positions. Raises RunError, and then leaves them where they are."""
    _check_positions(search, positions)
    moved = []
    for batches, position in zip(_batches(search), positions):
        if position is None:
            continue
        before = batches.position
        try:
            batches.position = position
        except Exception as error:  # whatever batches of somebody else's raise
            for earlier, at in moved:
                earlier.position = at
            raise RunError(
                f"the batches do not go to position {told(position)}: {told(str(error))}"
            ) from None
        moved.append((batches, before))
