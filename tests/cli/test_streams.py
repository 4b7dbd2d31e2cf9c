"""Standard streams that are closed, lead nowhere or do not know a letter; names that look like markup."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.cli.streams import Steady, steady

pytestmark = pytest.mark.slow

CLUSTERS = ["[bold]B", "NK [/red] :dna:", "T\\", "α β"]


@pytest.fixture(scope="module")
def odd_file(tmp_path_factory):
    """80 cells x 12 genes in clusters whose names look like markup, emoji or another alphabet."""
    rng = np.random.default_rng(0)
    kind = np.arange(80) % len(CLUSTERS)
    X = rng.poisson(1.0, (80, 12)).astype(np.float32)
    for k in range(len(CLUSTERS)):
        X[kind == k, 3 * k : 3 * k + 3] += 4
    obs = pd.DataFrame({"[type]": pd.Categorical(np.array(CLUSTERS)[kind])}, index=[f"cell{i}" for i in range(80)])
    path = tmp_path_factory.mktemp("odd") / "[cells].h5ad"
    AnnData(np.log1p(X), obs=obs, var=pd.DataFrame(index=[f"[red]G{i}" for i in range(12)])).write_h5ad(path)
    return path


def attack(path, *more):
    chosen = ["--groupby", "[type]", "--target", CLUSTERS[0], "--classifier", "markers"]
    return ["attack", str(path), *chosen, *more]


def test_names_are_printed_as_they_are(run, odd_file, tmp_path):
    chosen = ["--groupby", "[type]", "--classifier", "markers"]
    code, out, err = run("survey", odd_file, *chosen, "--modification", "perc1", "--out", tmp_path / "[run]")
    assert code == 0, err
    assert all(name in out for name in CLUSTERS)
    assert "[run]/report.html" in err.replace("\n", "")
    code, out, err = run("train", odd_file, *chosen, "--out", tmp_path / "[m].npz")
    assert code == 0, err
    assert all(name in out for name in CLUSTERS)
    code, out, err = run("classify", odd_file, "--classifier", tmp_path / "[m].npz", "--groupby", "[type]")
    assert code == 0, err
    assert all(name in out for name in CLUSTERS)
    code, out, err = run(*attack(odd_file, "--gene", "[red]G0", "--fail-over", "9", "--out", tmp_path / "[b].csv"))
    assert code == 0, err
    code, out, err = run(*attack(odd_file, "--layer", "[/no]"))
    assert code == 2
    assert "There is no layer '[/no]'" in err


def program(*arguments, **options):
    command = [sys.executable, "-m", "adverscarial", *map(str, arguments)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, **options)


def closing(*closed):
    """Return what closes standard streams in the child, as a service does that starts a program."""
    return lambda: [os.close(number) for number in closed]


def test_closed_streams_stop_nothing(odd_file, tmp_path):
    arguments = ["survey", odd_file, "--groupby", "[type]", "--classifier", "markers", "--modification", "perc1"]
    done = program(*arguments, "--jobs", "2", "--out", tmp_path / "run", preexec_fn=closing(1, 2))
    assert done.returncode == 0
    assert len(pd.read_csv(tmp_path / "run" / "table.csv")) == len(CLUSTERS)


def test_a_library_call_without_standard_error(odd_file, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    cells = adv.datasets.load(odd_file)
    model = adv.classifiers.Markers().fit(cells, "[type]")
    attack = adv.attacks.SingleGene("perc1")
    assert adv.survey(cells, model, attacks=attack, groupby="[type]").results[0].complete
    assert attack(cells, model, groupby="[type]", target=CLUSTERS[0]).complete


def test_a_reader_that_goes_away_does_not_hide_the_outcome(odd_file):
    read, write = os.pipe()
    os.close(read)
    options = {"stdout": write, "stderr": subprocess.PIPE, "text": True}
    done = program(*attack(odd_file, "--attack", "max-change", "--fail-over", "max-change=99"), **options)
    os.close(write)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "no fewer than 99" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_output_that_cannot_be_kept_is_no_pass(odd_file):
    with open("/dev/full", "w") as full:
        done = program(*attack(odd_file), stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 2
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
        assert program(*attack(odd_file), stdout=subprocess.PIPE, stderr=full).returncode == 0  # notes alone


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_terminal_that_knows_ascii_only(odd_file, tmp_path, more):
    arguments = ["survey", odd_file, "--groupby", "[type]", "--classifier", "markers", "--modification", "perc1"]
    options = {"env": {**os.environ, "PYTHONIOENCODING": "ascii"}, "capture_output": True}
    done = program(*arguments, "--out", tmp_path / "run", *more, **options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    if more:
        assert CLUSTERS[-1] in {row["cluster"] for row in json.loads(done.stdout)["rows"]}


class Gone(io.StringIO):
    """A stream whose reader is gone."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


def test_a_stream_tolerates_one_kind_of_error():
    stream = Steady(Gone(BrokenPipeError(32, "Broken pipe")), BrokenPipeError)
    assert stream.write("text") == 4
    assert stream.write("more") == 4
    stream.flush()
    stream = Steady(Gone(OSError(28, "No space left on device")), BrokenPipeError)
    with pytest.raises(OSError, match="No space"):
        stream.write("text")
    assert stream.write("more") == 4


def test_streams_are_put_back(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", out)
    with steady():
        sys.stdout.write("·")
    assert sys.stdout is out
    assert out.errors == "strict"
    out.flush()
    assert out.buffer.getvalue() == b"?"
