"""Studios that a test makes are closed behind it."""

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
