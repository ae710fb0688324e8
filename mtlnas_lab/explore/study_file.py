"""The file of a study of explorations: YAML, every part checked before anything runs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from ..errors import ConfigError
from ..values import choice, told
from .claim import Claim

PARTS = ("name", "explore", "question", "arms", "grid", "claims", "base", "notes", "sizes")
OF_A_SIZE = ("seeds", "base", "arms")
LISTS = ("claims", "notes")
MAPPINGS = ("arms", "grid", "base", "sizes")


def must_have_known_parts(file: str, data: Mapping) -> None:
    """Raises ConfigError for a part that nobody reads, and for one of another kind."""
    _must_be_known(f"the study {file}", data, PARTS)
    for name in MAPPINGS:
        _must_be(Mapping, f"{name} of the study {file}", data.get(name), "{name: value}")
    for name in LISTS:
        _must_be(list, f"{name} of the study {file}", data.get(name), "a list")
    for arm, settings in (data.get("arms") or {}).items():
        _must_be(Mapping, f"the arm {told(arm)}", settings, "{setting: value}")
    for values in (data.get("grid") or {}).values():
        _must_be(list, f"the grid of the study {file}", values, "a list of values for each setting")
    for size, chosen in (data.get("sizes") or {}).items():
        where = f"the size {told(size)} of the study {file}"
        _must_be(Mapping, where, chosen, "{seeds: [0, 1, 2]}")
        chosen = chosen or {}
        _must_be_known(where, chosen, OF_A_SIZE)
        _must_be(list, f"seeds of {where}", chosen.get("seeds"), "a list, as in [0, 1, 2]")
        _must_be(list, f"arms of {where}", chosen.get("arms"), "a list of names")
    fields = [field.name for field in dataclasses.fields(Claim)]
    for claim in data.get("claims") or ():
        _must_be(Mapping, f"a claim of the study {file}", claim, f"{{{', '.join(fields)}}}")
        _must_be_known(f"a claim of the study {file}", claim or {}, fields)


def _must_be_known(where: str, given: Mapping, names: Sequence[str]) -> None:
    for name in given:
        if name not in names:
            raise ConfigError(f"{where} has {told(name)}; choose of {', '.join(names)}")


def _must_be(kind: type, what: str, value: object, right: str) -> None:
    """Raises ConfigError for a value of another kind; one that is not there is none."""
    if value is not None and not isinstance(value, kind):
        raise ConfigError(f"{what} is {told(value)}; give {right}")


def parsed(data: Mapping, chosen: Mapping) -> dict:
    """The arguments of Exploration that a file gives, with what one of its sizes says of them."""
    arms = {str(arm): settings or {} for arm, settings in (data.get("arms") or {}).items()}
    arms |= _grid(data.get("grid") or {})
    if not arms:
        raise KeyError("arms")
    claims = tuple(Claim(**claim) for claim in data.get("claims") or ())
    must_be_about(claims, arms)
    wanted = chosen.get("arms", arms)
    for arm in wanted:
        choice("an arm of the size", arm, tuple(arms))
    arms = {arm: arms[arm] for arm in wanted}
    claims = tuple(claim for claim in claims if _is_about(claim, arms))
    parts = {"arms": arms, "claims": claims}
    parts["base"] = {**(data.get("base") or {}), **chosen.get("base", {})}
    if "seeds" in chosen:
        parts["seeds"] = tuple(chosen["seeds"] or ())
    parts["notes"] = tuple(data.get("notes") or ())
    parts["question"] = " ".join(data["question"].split())
    return parts | {"name": data["name"], "explore": data["explore"]}


def _grid(choices: Mapping[str, list]) -> dict[str, dict]:
    """An arm for every combination of some settings' values, named by them, as in "ramp, depth-normals, 1500"."""
    if not choices:
        return {}
    arms = {}
    for values in itertools.product(*choices.values()):
        arms[", ".join(map(str, values))] = dict(zip(choices, values))
    return arms


def must_be_about(claims: Sequence[Claim], arms: Mapping) -> None:
    """Raises ConfigError for a claim about an arm that is not there, and for one that stands twice."""
    for place, claim in enumerate(claims):
        if claim in claims[:place]:
            raise ConfigError(f"the claim {told(claim.says)} stands twice; each is counted once")
        if not isinstance(claim.against, str | None) and str(claim.against) in arms:
            raise ConfigError(
                f"the claim {told(claim.says)} compares with the number {claim.against}, and an arm has that name; give the "
                f'arm another name, or compare with it: against: "{claim.against}"'
            )
        for arm in (claim.arm, claim.against):
            if isinstance(arm, str) and arm not in arms:
                raise ConfigError(
                    f"the claim {told(claim.says)} is about {told(arm)}, which is no arm; the arms are {', '.join(arms)}"
                )


def _is_about(claim: Claim, arms: Mapping) -> bool:
    """Whether a size has the arms of a claim."""
    return claim.arm in arms and (not isinstance(claim.against, str) or claim.against in arms)
