"""The check of notebook 00 with right, wrong and almost right answers."""

import pytest

from mtlnas_lab.course import check


@pytest.mark.parametrize(
    "answer, solved, says",
    [
        (lambda edges: 2**edges, True, "half a billion years"),
        (lambda edges: 2.0**edges, True, "half a billion years"),
        (lambda edges: edges**2, False, "ways multiply"),
        (lambda edges: 2 * edges, False, "they multiply"),
        (lambda edges: 2**edges - 1, False, "single-task"),
        (lambda edges: 1, False, "yours says 1"),
        (lambda edges: -(2**edges), False, "yours says -1"),
        (lambda edges: "many", False, "one number"),
        (lambda edges: ..., None, "replace"),
        (..., None, "replace"),
        (48, False, "cannot use"),
    ],
)
def test_count(answer, solved, says):
    verdict = check("00.count", answer)
    assert verdict.solved is solved and says in verdict.message, verdict
