"""What a notebook shows: objects as HTML, and one bar for long work."""

from __future__ import annotations

import sys
import types
from html.parser import HTMLParser
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial import _progress
from adverscarial.attacks import ClusterGradientDescent, Grid, MaxChange, MinChange, RandomWalk, SingleGene
from adverscarial.classifiers import Markers, RandomForest, ScType, wrap

ODD = "<b>T & co</b>"


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 0.2, (60, 6))
    X[:20, 0] += 1
    X[20:40, 1] += 1
    X[40:, 2] += 1
    obs = pd.DataFrame({"kind": np.repeat([ODD, "B", "NK"], 20)}, index=[f"c{i}" for i in range(60)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(6)]))


@pytest.fixture(scope="module")
def model(cells):
    return wrap(lambda X: X[:, :3], classes=[ODD, "B", "NK"])


class Tags(HTMLParser):
    """Counts what is opened and not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def shown(obj):
    text = obj._repr_html_()
    tags = Tags(text)
    assert tags.open == []
    assert ODD not in text
    return text


@pytest.mark.parametrize(
    "attack",
    [SingleGene("perc1"), MaxChange("perc1", restarts=1), MinChange("perc1"), Grid(["g0", "g1"], ["perc1"]),
     RandomWalk(["g0", "g1"], ["perc1"], tries=5, steps=2), ClusterGradientDescent()],
    ids=lambda attack: attack.name,
)  # fmt: skip
def test_a_result_is_shown_as_whole_html_with_its_details(cells, model, attack):
    result = attack(cells, model, groupby="kind", target=ODD)
    text = shown(result)
    assert "&lt;b&gt;T &amp; co&lt;/b&gt;" in text
    assert "<table" in text
    assert "<summary>Details</summary>" in text


def test_surveys_begin_with_their_verdicts(cells, model):
    found = adv.survey(cells, {"m": model}, attacks=SingleGene("perc1", search="exact"), groupby="kind")
    text = shown(found)
    assert "Survey of 3 attacks, 0 failed" in text
    for row in found.verdicts().itertuples():
        assert f"<td>{row.verdict}</td>" in text


@pytest.mark.slow
def test_a_hardening_says_what_it_was_hardened_by(pbmc_small):
    train, test = adv.datasets.split(pbmc_small, "cell_type", seed=0)
    attack = SingleGene("perc99")
    done = adv.harden(train, Markers(n_markers=2), attack, groupby="cell_type", test=test, rounds=1)
    text = shown(done)
    assert "hardened by" in text
    assert "adversarial_cells" in text


def test_classifiers_say_what_they_know_before_and_after_training(cells):
    assert "not trained yet" in shown(Markers())
    assert "none known yet" in shown(RandomForest(5))
    text = shown(RandomForest(5, seed=0).fit(cells, "kind"))
    assert "6 genes" in text
    assert "&lt;b&gt;T &amp; co&lt;/b&gt;" in text
    assert "looks at all cells" in shown(ScType(scaled=False))
    assert "labels, no scores" not in shown(wrap(lambda X: X))


class Bar:
    """Stands in for tqdm's bar, and keeps what it was told."""

    made: ClassVar[list[Bar]] = []

    def __init__(self, *, desc, total, **other):
        self.desc, self.total, self.n = desc, total, 0
        Bar.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.n = round(self.n, 6)

    def update(self, steps=1):
        self.n += steps


@pytest.fixture
def notebook(monkeypatch):
    """A kernel, as IPython tells of it."""
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    Bar.made = []
    return Bar.made


def test_long_work_shows_one_bar_in_a_notebook(cells, model, notebook):
    attacks = [SingleGene("perc1", search="exact"), MaxChange("perc1", restarts=1)]
    adv.survey(cells, {"m": model}, attacks=attacks, groupby="kind")
    assert [(bar.total, bar.n) for bar in notebook] == [(6, 6)]  # of the survey, none of its attacks
    attacks[0](cells, model, groupby="kind", target="B")
    assert len(notebook) == 2
    attacks[0](cells, model, groupby="kind", target="B", progress=False)
    assert len(notebook) == 2


def test_no_bar_elsewhere(cells, model, monkeypatch):
    shell = type("TerminalInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert not _progress.in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    assert not _progress.in_notebook()


@pytest.mark.slow  # it starts a kernel
def test_a_real_notebook_says_nothing_of_ipywidgets(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    code = (
        "import time\nfrom adverscarial._progress import in_notebook, track\nprint(in_notebook())\n"
        "for _ in track(range(4), 'long work', 4):\n    time.sleep(0.3)"
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(book, kernel_name="python3").execute()
    text = "".join(str(output.get("text", output)) for output in book.cells[0].outputs)
    assert "True" in text
    assert "long work" in text
    assert "IProgress" not in text
    assert "ipywidgets" not in text
