import json

import pytest

from mtlnas_lab.analysis import edge_importance as informative
from mtlnas_lab.errors import RunError

ROW = {
    "edge": "a:0 -> b:0",
    "kept": True,
    "alpha": 1.0,
    "worth": 0.5,
    "gradient": 0.1,
    "points": 2.0,
}


@pytest.mark.parametrize(
    "content", [{}, {"edges": 3}, {"edges": [3]}, {"edges": [{**ROW} | {"x": 1}, {}]}]
)
def test_a_damaged_file_of_worths(content, tmp_path):
    (tmp_path / informative.FILE).write_text(json.dumps(content))
    with pytest.raises(RunError, match="is damaged"):
        informative.read(tmp_path)


def test_a_whole_one(tmp_path):
    (tmp_path / informative.FILE).write_text(json.dumps({"edges": [ROW]}))
    assert informative.read(tmp_path) == [ROW]
