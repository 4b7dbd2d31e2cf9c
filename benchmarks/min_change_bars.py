"""The tables of min_change.py: one row per model, question and modification, and one per bar that was set before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

Row = dict[str, object]


def told(cases: pd.DataFrame) -> pd.DataFrame:
    """Return the cases in which a set is needed and not proven to be impossible."""
    return cases[~np.isinf(cases["lower"]) & (cases["upper"] > 0)]


def interval(row: Any) -> str:
    """Return the interval of a case as text."""
    return f"{row.lower:g}" if row.lower == row.upper else f"{row.lower:g}-{row.upper:g}"


def ratios(cases: pd.DataFrame) -> np.ndarray:
    """Return size found over size proven; a proof of nothing counts as one gene."""
    return (cases["upper"] / cases["lower"].clip(lower=1)).to_numpy()


def table(found: pd.DataFrame) -> list[Row]:
    """Return one row per model, question and modification."""
    rows: list[Row] = []
    asked = found[found["question"].isin(["flip", "signature"])]
    for (model, question, change), part in asked.groupby(["model", "question", "modification"], sort=False):
        cases = told(part)
        size = ratios(cases)
        numbers = [(size == 1).mean(), np.median(size), size.max()] if len(size) else []
        equal, median, largest = [f"{number:.2f}" for number in numbers] or [""] * 3
        rows.append({
            "model": model, "question": question, "modification": change, "cases": len(cases),
            "none needed or possible": len(part) - len(cases), "lower = upper": equal,
            "u/l, median": median, "largest": largest,
            "seconds per case": f"{part['seconds'].mean():.2f}", "longest": f"{part['seconds'].max():.1f}",
            "sizes": ", ".join(interval(row) for row in cases.itertuples()),
        })  # fmt: skip
    return rows


def bars(found: pd.DataFrame, peers: list[Row]) -> list[Row]:
    """Return one row per bar, of those whose cases are there."""
    rows: list[Row] = []

    def bar(what: str, reach: str, measured: str, reached: bool) -> None:
        rows.append({"what": what, "reach": reach, "measured": measured, "reached": "yes" if reached else "no"})

    def of(models: list[str], question: str, *changes: str) -> pd.DataFrame:
        right = found["model"].isin(models) & (found["question"] == question)
        return found[right & (found["modification"].isin(changes) if changes else True)]

    for row in found[found["question"] == "cells"].itertuples():
        each = 1000 * row.seconds / row.cells
        what = f"per cell, {row.model}, {row.cells:,.0f} cells"
        if row.cells < 50_000:
            bar(
                what,
                "exact; at most 1 ms a cell",
                f"{row.theirs:.3f} exact; {each:.2f} ms",
                row.theirs == 1 and each <= 1,
            )
        else:
            bar(what, "under 2 minutes", f"{row.seconds:.0f} s ({each:.2f} ms a cell)", row.seconds < 120)
    _scores(of, bar)
    flips = found[(found["question"] == "flip") & (found["model"] != "scMLP")]
    models = list(dict.fromkeys(flips["model"]))
    total = flips["seconds"].sum()
    asked = flips.groupby("model")["modification"].nunique()
    missing = {"scType", "logistic regression", "CellTypist", "scRF"} - set(asked.index[asked == asked.max()])
    note = f"; not run as a whole: {', '.join(sorted(missing))}" if missing else ""
    bar(f"all flips of {', '.join(models)}", "under 10 minutes on two cores, with CellTypist and scRF",
        f"{total / 60:.1f} processor minutes in one process{note}", not missing and total / 2 < 600)  # fmt: skip
    others = found[found["question"].isin(["grid", "random-walk", "cgd"])]
    if len(others):
        holds = (others["upper"] <= others["theirs"]) & (others["lower"] <= others["theirs"])
        bar(
            "no set larger than those of Grid, RandomWalk and CGD, same genes and values",
            "all",
            f"{holds.sum()} of {len(others)}",
            holds.all(),
        )
    _networks(peers, bar)
    _peers(peers, bar)
    return rows


def _scores(of: Callable[..., pd.DataFrame], bar: Callable[..., None]) -> None:
    """Add the bars of flips and signatures."""
    limits = [
        ("scType flips", ["scType"], "flip", (), 0.90, 1.0, None, 0.5),
        ("scType signatures", ["scType"], "signature", (), 0.40, 1.3, None, None),
        ("linear flips, perc99", ["logistic regression", "CellTypist"], "flip", ("perc99",), 0.55, None, 1.15, 6),
        ("linear flips, perc1", ["logistic regression", "CellTypist"], "flip", ("perc1",), None, 1.4, None, 6),
        ("linear flips, decile+5", ["logistic regression", "CellTypist"], "flip", ("decile+5",), None, 1.65, None, 6),
        ("logistic signatures, perc99", ["logistic regression"], "signature", ("perc99",), None, 1.06, None, None),
        ("scRF flips, perc99", ["scRF"], "flip", ("perc99",), None, 2.0, 2.5, 30),
        ("scRF signatures, perc99", ["scRF"], "signature", ("perc99",), None, 2.0, None, 30),
    ]
    for what, models, question, changes, equal, median, largest, seconds in limits:
        part = of(models, question, *changes)
        cases = told(part)
        if not len(cases):
            continue
        size = ratios(cases)
        checks = [
            ("lower = upper in", equal, (size == 1).mean(), np.greater_equal),
            ("u/l median", median, np.median(size), np.less_equal),
            ("u/l everywhere", largest, size.max(), np.less_equal),
            ("s a case", seconds, part["seconds"].mean(), np.less_equal),
        ]
        told_of = [
            (name, aim, value, holds(round(value, 3), aim)) for name, aim, value, holds in checks if aim is not None
        ]
        bar(
            f"{what}, {len(cases)} cases ({', '.join(dict.fromkeys(cases['model']))})",
            "; ".join(f"{name} {aim:g}" for name, aim, *_ in told_of),
            "; ".join(f"{name} {value:.2f}" for name, _, value, _ in told_of),
            all(reached for *_, reached in told_of),
        )


def _networks(peers: list[Row], bar: Callable[..., None]) -> None:
    """Add the bars of single cells of the network, from the table beside other attacks."""
    rows = {str(row["method"]): row for row in peers if row["model"] == "scMLP"}
    if "ours, found" not in rows:
        return
    found, proven, seconds = (
        float(str(rows[method][column])) for method, column in (
            ("ours, found", "median genes"), ("ours, proven", "median genes"), ("ours, found", "seconds per cell"))
    )  # fmt: skip
    bar("scMLP, per cell: median found over median proven", "at most 3.2; at most 2 s",
        f"{found / proven:.2f}; {seconds:.2f} s", found / proven <= 3.2 and seconds <= 2)  # fmt: skip
    name = "sigma-zero, 1,000 steps"
    counts = [int(word) for word in str(rows[name]["ours fewer, as many, more"]).split(", ")]
    fine = f"{sum(counts) - counts[2]} of {sum(counts)}"
    bar(f"scMLP, cells with no more genes than {name}", "10 of 12", fine, counts[2] <= sum(counts) / 6)


def _peers(peers: list[Row], bar: Callable[..., None]) -> None:
    """Add the bars beside sparse attacks of others, at the 1,000 steps of the specification."""
    rows = {(row["model"], row["method"]): row for row in peers}
    for model, times, aim in (("logistic regression", 50, "at least 50 times faster"), ("scMLP", 1, "not slower")):
        for method in ("sigma-zero, 1,000 steps", "FMN-L0, 1,000 steps", "JSMA"):
            if (model, method) not in rows:
                continue
            own, theirs = (float(str(rows[model, name]["median genes"])) for name in ("ours, found", method))
            ratio = float(str(rows[model, method]["their seconds over ours"]))
            bar(
                f"{model}, 100 cells beside {method}", f"no more genes in the median; {aim}",
                f"{own:g} and {theirs:g} genes; {ratio:g} times", own <= theirs and ratio >= times,
            )  # fmt: skip
