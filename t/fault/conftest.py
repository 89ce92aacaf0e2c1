import pathlib, sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1] / "integration")]
import injector


@pytest.fixture(scope="session", autouse=True)
def built():
    injector.build()
