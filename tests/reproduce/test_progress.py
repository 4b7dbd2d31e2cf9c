"""The figures of the paper show bars; their lines of steps stay."""

from __future__ import annotations

import pandas as pd
import pytest

from adverscarial.reproduce import fig2, fig3, fig4, sctype, setting, table1

TABLE = {"cell_type": ["B", "NK"], "positive": ["CD79A,MS4A1", "NKG7,GNLY"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("figure", "bars"),
    [
        (table1, ["Ranking genes", "Table 1"]),
        (fig2, ["Survey", "Accuracy"]),
        (fig3, ["Ranking genes", "Gradient descents · scRF"]),
        (fig4, ["Ranking genes", "Gradient descents · scMLP", "Curves"]),
    ],
)
def test_figures_show_bars_only_where_asked(few, figure, bars, capsys):
    options = {"quick": True} if figure in (fig3, fig4) else {}
    said = []
    figure(few, say=said.append, **options)
    assert capsys.readouterr().err == ""
    assert said
    again = []
    figure(few, say=again.append, progress=True, **options)
    err = capsys.readouterr().err
    for name in bars:
        assert name in err
    assert len(again) == len(said)


def test_training_shows_a_bar_only_where_asked(few_cells, capsys):
    options = {"groupby": "cell_type", "name": "few", "quick": True, "only": ["scRF"]}
    setting(few_cells, **options)
    assert capsys.readouterr().err == ""
    setting(few_cells, **options, progress=True)
    assert "Training" in capsys.readouterr().err


@pytest.mark.slow
def test_sctype_shows_a_bar_only_where_asked(few_cells, capsys):
    options = {"groupby": "cell_type", "name": "few", "markers": pd.DataFrame(TABLE), "restarts": 1}
    sctype(few_cells, **options)
    assert capsys.readouterr().err == ""
    sctype(few_cells, **options, progress=True)
    assert "Survey" in capsys.readouterr().err
