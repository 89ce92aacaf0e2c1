import pathlib, shutil, sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness


@pytest.fixture(scope="session")
def cluster():
    folder = harness.temporary_folder()
    made = harness.Cluster(folder / "postgresql")
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_tassis(cluster):
    """Makes tassis instances (not started) that end with the test."""
    made = []

    def make(**options):
        made.append(harness.Tassis(cluster, **options))
        return made[-1]

    make.made = made
    yield make
    for one in made:
        one.end()


@pytest.fixture(scope="module")
def tassis(cluster):
    """A running one with the sample data, shared by the tests of a file that leave it as they found it."""
    one = harness.Tassis(cluster)
    try:
        yield one.start()
    finally:
        one.end()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for fixture in item.funcargs.values():
            for one in getattr(fixture, "made", [fixture]):
                if isinstance(one, harness.Tassis):
                    report.sections.append(("the log's end", one.log_tail(400)))
