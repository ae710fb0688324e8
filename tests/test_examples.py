"""The examples in the docstrings run, beside the other tests: processes of their own would import torch once more."""

import doctest
import importlib
import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = []
for path in sorted((ROOT / "mtlnas_lab").rglob("*.py")):
    if ">>> " in path.read_text(encoding="utf-8"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        MODULES.append(".".join(parts).removesuffix(".__init__"))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_say_what_they_show(name):
    said = io.StringIO()
    with redirect_stdout(said):
        module = importlib.import_module(name)
        done = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert done.attempted, f"{name} has no example that doctest finds"
    assert not done.failed, said.getvalue()
