"""Marks of tests that need a package which not every environment has."""

from importlib.util import find_spec

import pytest

torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
