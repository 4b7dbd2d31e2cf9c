"""What the original program was given, and said."""

from __future__ import annotations

from pathlib import Path

import pytest
from anndata import AnnData

import golden_families


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    return shared / "golden" / "classifiers" / "pbmc68k_a"


@pytest.fixture(scope="session")
def golden_cells(golden: Path) -> AnnData:
    return golden_families.original_cells(golden)
