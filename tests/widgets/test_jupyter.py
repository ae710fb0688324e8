"""The studio in a real kernel, without a page: threads, messages, interrupts and the cell's saved output."""

import os
import threading
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
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


def test_a_search_goes_on_after_its_cell_is_interrupted_and_ends_with_a_picture(kernel):
    """One story, one test: a test that began where another one ended failed where they ran in two processes."""
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

    # an interrupt between cells stops it
    run(kernel, "time.sleep(0.4)")
    run(kernel, "1")
    kernel[0].interrupt_kernel()
    text, _ = run(
        kernel,
        "studio.source.runner.join(10); time.sleep(0.3); print(studio.source.mode, studio.view.status['mode'])",
    )
    assert text == "stopped stopped"

    # it goes on and ends with a picture
    text, _ = run(
        kernel,
        "studio.source.search.steps = studio.source.search.step_number + 5; studio.start(); "
        "studio.source.runner.join(10); time.sleep(1); print(studio.view.status['mode'], studio.picture()[:4])",
    )
    assert text == "finished b'\\x89PNG'"


DRAW = """import matplotlib.pyplot as plt
figure, axes = plt.subplots(1, 3)
for number, ax in enumerate(axes):
    time.sleep(0.1)
    ax.plot([0, 1, 2], [number, 1, 3])
    time.sleep(0.1)
    ax.set_title(f"part {number}")
"""
MOVED = {
    "replay": ("ReplayScrubber(log)", "at"),
    "studio": ("SearchStudio(log).view", "at"),
    "microscope": ("EdgeMicroscope()", "alpha"),
    "relaxation": ("RelaxationExplorer()", "alpha"),
    "space": ("SpaceExplorer()", "limit"),
    "figure": ("FigureStudio(log)", "done"),
    "the studio's box": ("SearchStudio(log).box", "box_style"),
    "a guess": ("predict('00.kept', 'How many?', between=(0, 48)).widget().children[1]", "value"),
    "its button": (
        "predict('00.kept', 'How many?', between=(0, 48)).widget().children[2].children[0]",
        "icon",
    ),
}


@pytest.fixture
def page(kernel):
    """messages(comm, state): sends what a page sends, ten times a second over a subshell as JupyterLab does, until it
    is called again. A client of its own, for replies are told apart by it."""
    from jupyter_client import BlockingKernelClient

    manager, client = kernel
    other = BlockingKernelClient(connection_file=manager.connection_file)
    other.load_connection_file()
    other.start_channels()
    client.control_channel.send(client.session.msg("create_subshell_request"))
    answer = client.get_control_msg(timeout=30)["content"]
    if answer["status"] != "ok":
        pytest.skip("this kernel has no subshells")
    over, threads = threading.Event(), []

    def send(kind, content):
        message = other.session.msg(kind, content)
        message["header"]["subshell_id"] = answer["subshell_id"]
        other.shell_channel.send(message)

    def messages(content):
        def keep_on():
            while not over.wait(0.02):
                send("comm_msg", content)

        threads.append(threading.Thread(target=keep_on))
        threads[0].start()

    yield send, messages
    over.set()
    for thread in threads:
        thread.join()
    other.stop_channels()


def pictures(outputs):
    shown = [m["content"]["data"] for m in outputs if m["msg_type"] == "display_data"]
    return [data["image/png"] for data in shown if "image/png" in data]


LOG = """%matplotlib inline
import viz_fakes
from mtlnas_lab.course import predict
from mtlnas_lab.widgets import *
log = viz_fakes.log(viz_fakes.space(), steps=30)
"""


@pytest.mark.parametrize("which", MOVED)
def test_a_page_that_is_moved_leaves_the_picture_of_a_cell_whole(kernel, page, which):
    """A message came to IPython as the end of a cell, and pyplot's half-drawn figure was sent off and closed."""
    made, trait = MOVED[which]
    run(kernel, BEGIN + LOG + f"one = {made}")
    comm, value = run(kernel, f"print(one.comm.comm_id, repr(one.{trait}))")[0].split(maxsplit=1)
    [quiet] = pictures(run(kernel, DRAW)[1])
    heard = f"heard = []; one.observe(heard.append, {trait!r})"
    run(kernel, heard)
    state = {trait: "info"} if value == "''" else {trait: 1 if value != "1" else 2}
    page[1]({"comm_id": comm, "data": {"method": "update", "state": state, "buffer_paths": []}})
    assert pictures(run(kernel, DRAW)[1]) == [quiet]
    assert run(kernel, "print(len(heard) > 0)")[0] == "True"


def test_a_page_that_is_reloaded_leaves_the_picture_of_a_cell_whole(kernel, page):
    run(kernel, BEGIN + LOG)
    [quiet] = pictures(run(kernel, DRAW)[1])
    target = "jupyter.widget.control"
    content = {"comm_id": "of-a-page", "target_name": target, "data": {}}
    message = kernel[1].session.msg("comm_open", content, metadata={"version": "1.0.0"})
    kernel[1].shell_channel.send(message)
    page[1]({"comm_id": "of-a-page", "data": {"method": "request_states"}})
    assert pictures(run(kernel, DRAW)[1]) == [quiet]


SPY = """import threading
drawn, seen = [], SearchStudio.picture
def picture(self):
    drawn.append((time.monotonic(), threading.current_thread() is threading.main_thread()))
    return seen(self)
SearchStudio.picture = picture
"""


def test_a_search_that_ends_meanwhile_leaves_the_picture_of_a_cell_as_it_is(kernel):
    """The studio's own picture is drawn between cells: it needs settings of matplotlib that the whole process has."""
    run(kernel, BEGIN + LOG + "studio = SearchStudio(FakeSearch(steps=3)); studio")
    [quiet] = pictures(run(kernel, DRAW)[1])
    run(kernel, SPY)
    _, outputs = run(kernel, "studio.start()\n" + DRAW + "ended = time.monotonic()")
    assert pictures(outputs) == [quiet]
    for _ in range(100):
        if run(kernel, "print(len(drawn))")[0] == "1":
            break
        threading.Event().wait(0.1)
    text, _ = run(kernel, "SearchStudio.picture = seen; print(drawn[0][0] > ended, drawn[0][1])")
    assert text == "True True"


@pytest.mark.slow
def test_a_kernel_that_is_shut_down_leaves_a_run_that_goes_on(tmp_path):
    manager = pytest.importorskip(
        "jupyter_client.manager", reason="jupyter_client is not installed"
    )
    from recording_helpers import RunWriter, a_search, folder, told

    from mtlnas_lab.runs.recorder import record

    one, client = manager.start_new_kernel(env={**os.environ, "JPY_SESSION_NAME": "a.ipynb"})
    run(
        (one, client),
        BEGIN
        + f"""from pathlib import Path
from recording_helpers import *
from mtlnas_lab.runs.recorder import Recorded
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
        assert isinstance(again, RunWriter) and again.checkpoints()[-1].step == len(steps) >= 2
        list(record(a_search(), again))
    assert [step.step for step in told(tmp_path / "run")[0]] == list(range(1, 9))
