"""Versions of what a result depends on."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version


@cache
def _versions() -> dict[str, str]:
    packages = ("adverscarial", "anndata", "numpy", "scipy", "scikit-learn", "numba")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return dict(_versions())
