"""Fixtures of the command line: a file of cells, and a way to run a command here."""

from __future__ import annotations

import subprocess
import sys

import pytest

from adverscarial.cli import main


@pytest.fixture(scope="module")
def cells_file(pbmc_small, tmp_path_factory):
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    pbmc_small.write_h5ad(path)
    return path


@pytest.fixture
def run_r(rscript, tmp_path):
    """Run R code in the test's folder."""

    def run_r(code):
        subprocess.run([rscript, "-e", code], cwd=tmp_path, check=True, capture_output=True)

    return run_r


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command line here; return (exit code, standard output, standard error)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["adverscarial", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return call
