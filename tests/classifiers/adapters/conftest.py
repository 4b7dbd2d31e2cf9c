"""What tests of several adapters need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Keep small predictions from waiting for each other's threads."""
    with threadpool_limits(1):
        yield
