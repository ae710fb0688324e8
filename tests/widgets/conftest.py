"""Studios that a test makes are closed behind it; the browser's tests share one JupyterLab."""

import pytest

from mtlnas_lab.widgets import SearchStudio


@pytest.fixture
def studio():
    made = []

    def make(*args, **options):
        made.append(SearchStudio(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """(folder, address) of a JupyterLab. Here, for a fixture that modules import begins anew in each."""
    from browsing import serve

    with serve(tmp_path_factory.mktemp("notebooks")) as there:
        yield there


@pytest.fixture(scope="session")
def kernels():
    """The id of the kernel that notebooks hand on to each other; a test that fails keeps its own."""
    return []
