"""Fixtures that every test may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from anndata import AnnData


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
