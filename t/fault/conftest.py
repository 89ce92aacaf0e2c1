import pathlib, shutil, sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1] / "integration")]
import harness, injector


@pytest.fixture(scope="session", autouse=True)
def built():
    injector.build()


@pytest.fixture(scope="session")
def cluster():
    folder = harness.temporary_folder()
    made = harness.Cluster(folder / "postgresql")
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)
