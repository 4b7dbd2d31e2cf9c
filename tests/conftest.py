"""Fixtures that every test may use."""

import gc
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from anndata import AnnData
from hypothesis import HealthCheck, settings

# no law depends on how busy the machine is
settings.register_profile("adverscarial", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("adverscarial")


def pytest_collection() -> None:
    """Collect without looking for garbage: thousands of tests are made, and all of them stay."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was collected out of every later search for garbage, which goes through all objects otherwise."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark cases of a test as slow where ``@pytest.mark.fast`` names the others: the first n, or those with an id."""
    seen: Counter[str] = Counter()
    for item in items:
        if (mark := item.get_closest_marker("fast")) is None:
            continue
        function, _, case = item.nodeid.partition("[")
        seen[function] += 1
        fast = seen[function] <= mark.args[0] if isinstance(mark.args[0], int) else case.removesuffix("]") in mark.args
        if not fast:
            item.add_marker(pytest.mark.slow)


def _shared_folder() -> Path:
    named = os.environ.get("ADVERSCARIAL_SHARED")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with goldens, specifications and real data, which is not part of the repository."""
    folder = _shared_folder()
    if folder.is_dir():
        return folder
    reason = f"there is no folder '{folder}' with goldens and data; name one in ADVERSCARIAL_SHARED"
    if os.environ.get("ADVERSCARIAL_REQUIRE_SHARED") == "1":
        pytest.fail(f"ADVERSCARIAL_REQUIRE_SHARED=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def rscript() -> str:
    """The program Rscript; a test that asks for it needs R."""
    found = shutil.which("Rscript")
    if found is not None:
        return found
    reason = "there is no Rscript on the path: install R, on Debian with apt-get install r-base-core"
    if os.environ.get("ADVERSCARIAL_REQUIRE_SHARED") == "1":
        pytest.fail(f"ADVERSCARIAL_REQUIRE_SHARED=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _no_figure_is_left() -> Iterator[None]:
    """Close what a test drew: the next test on this worker, whichever it is, starts with no figure."""
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")  # most tests never load it
    if pyplot is not None:
        pyplot.close("all")


@pytest.fixture(scope="session", autouse=True)
def _data_folder() -> Iterator[None]:
    """Let ``datasets.pbmc3k()`` find the shared data."""
    data = _shared_folder() / "data"
    with pytest.MonkeyPatch.context() as patch:
        if "ADVERSCARIAL_DATA" not in os.environ and data.is_dir():
            patch.setenv("ADVERSCARIAL_DATA", str(data))
        yield


@pytest.fixture(scope="session")
def pbmc_small() -> AnnData:
    """700 cells x 765 genes, log-normalised. Shared by all tests: copy it before changing it."""
    from adverscarial.datasets import embedded

    return embedded()
