"""The studio in a real kernel, without a page: threads, messages, interrupts and the cell's saved output."""

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
BEGIN = f"""import sys, time; sys.path.insert(0, {str(TESTS)!r})
from widget_fakes import FakeSearch
from mtlnas_lab.widgets import SearchStudio
"""


@pytest.fixture(scope="module")
def kernel():
    manager = pytest.importorskip(
        "jupyter_client.manager", reason="jupyter_client is not installed"
    )
    env = {name: value for name, value in os.environ.items() if name != "MTLNAS_LAB_LIVE"}
    one, client = manager.start_new_kernel(env={**env, "JPY_SESSION_NAME": "a.ipynb"})
    yield one, client
    client.stop_channels()
    one.shutdown_kernel(now=True)
    one.cleanup_resources()


def run(kernel, code):
    """(printed text, output messages) of a cell."""
    outputs = []
    reply = kernel[1].execute_interactive(
        code, timeout=60, output_hook=lambda message: outputs.append(message)
    )
    assert reply["content"]["status"] == "ok", reply["content"]
    text = "".join(m["content"]["text"] for m in outputs if m["msg_type"] == "stream")
    return text.strip(), outputs


def test_the_cell_ends_at_once_and_the_search_goes_on(kernel):
    _, outputs = run(
        kernel,
        BEGIN + "studio = SearchStudio(FakeSearch(steps=100000, pause=0.005)).start()\nstudio",
    )
    [shown] = [m["content"]["data"] for m in outputs if m["msg_type"] == "display_data"]
    assert "application/vnd.jupyter.widget-view+json" in shown and "image/png" not in shown
    text, _ = run(
        kernel,
        "a = studio.source.search.step_number; time.sleep(0.3); print(studio.source.search.step_number > a)",
    )
    assert text == "True"


def test_an_interrupt_between_cells_stops_it(kernel):
    run(kernel, "time.sleep(0.4)")
    run(kernel, "1")
    kernel[0].interrupt_kernel()
    text, _ = run(
        kernel,
        "studio.source.driver.join(10); time.sleep(0.3); print(studio.source.mode, studio.view.status['mode'])",
    )
    assert text == "stopped stopped"


def test_it_goes_on_and_ends_with_a_picture(kernel):
    text, _ = run(
        kernel,
        "studio.source.search.steps = studio.source.search.step_number + 5; studio.start(); "
        "studio.source.driver.join(10); time.sleep(1); print(studio.view.status['mode'], studio.picture()[:4])",
    )
    assert text == "finished b'\\x89PNG'"


@pytest.mark.slow
def test_a_kernel_that_is_shut_down_leaves_a_run_that_goes_on(tmp_path):
    manager = pytest.importorskip(
        "jupyter_client.manager", reason="jupyter_client is not installed"
    )
    from test_recording import Run, a_search, folder, record, told

    one, client = manager.start_new_kernel(env={**os.environ, "JPY_SESSION_NAME": "a.ipynb"})
    run(
        (one, client),
        BEGIN
        + f"""from pathlib import Path
from test_recording import *
search = a_search()
step = search.step
search.step = lambda: (time.sleep(0.3), step())[1]
studio = SearchStudio(Recorded(search, folder(Path({str(tmp_path / "run")!r})), checkpoint_every=1000)).start()
while search.step_number < 2:
    time.sleep(0.01)
""",
    )
    client.stop_channels()
    one.shutdown_kernel()
    one.cleanup_resources()
    steps = told(tmp_path / "run")[0]
    with folder(tmp_path / "run", again=True) as again:
        assert isinstance(again, Run) and again.checkpoints()[-1].step == len(steps) >= 2
        list(record(a_search(), again))
    assert [step.step for step in told(tmp_path / "run")[0]] == list(range(1, 9))
