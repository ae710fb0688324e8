"""The page of deployments: what it shows for tasks wanted and a budget, and what it refuses."""

import pytest
import traitlets

from mtlnas_lab.core.space import SearchSpace, plan
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.widgets import DeploymentExplorer

SPACE = SearchSpace.build(dict.fromkeys("abc", plan([8], [1])))  # 6 edges
BUDGETS = [0.0, 0.5, 1.0]


def answers():
    made = {}
    for number in range(1, 8):
        bits = format(number, "03b")
        rows = []
        for budget in BUDGETS:
            kept = [place < 6 * budget for place in range(6)]
            rows.append(
                {"kept": kept, "cost": budget, "loss": [1 - budget / 10] * 3, "alone": [1.0] * 3}
            )
        made[bits] = rows
    return made


def test_what_is_shown_follows_the_slider():
    page = DeploymentExplorer(SPACE, BUDGETS, answers())
    assert len(page.architecture) == 3 and "50% of all where 50% are allowed" in page.caption()
    page.budget = 0.9
    assert len(page.architecture) == 6 and "c loss 0.9" in page.caption()
    page.wanted = [True, False, False]
    assert "b loss" not in page.caption()


def test_a_still_picture():
    assert DeploymentExplorer(SPACE, BUDGETS, answers()).picture().startswith(b"\x89PNG")


def test_at_least_one_task_is_wanted():
    page = DeploymentExplorer(SPACE, BUDGETS, answers())
    with pytest.raises(traitlets.TraitError, match="of one at least yes"):
        page.wanted = [False, False, False]
    assert page.wanted == [True, True, True]


def test_answers_that_are_missing_or_odd():
    some = answers()
    del some["101"]
    with pytest.raises(ConfigError, match="tasks wanted are 101"):
        DeploymentExplorer(SPACE, BUDGETS, some)
    odd = answers()
    odd["111"][0]["kept"] = [True]
    with pytest.raises(ConfigError, match="give 6 gates"):
        DeploymentExplorer(SPACE, BUDGETS, odd)
    del odd["111"][0]["kept"]
    with pytest.raises(ConfigError, match="incomplete"):
        DeploymentExplorer(SPACE, BUDGETS, odd)
