"""Run the benchmarks, each in its own process, fill the tables of the README, and sum up in one line each.

python benchmarks/run.py [--quick] [NAME ...]    all but the long ones, or those named; --quick is smaller and saves no
table
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Judged:
    """What a script's table says, and what is aimed at."""

    #: What is compared.
    what: str
    #: Holds the number; empty: the table is all there is.
    column: str = ""
    #: Of rows, by their first cell; of all rows, under "".
    aims: dict[str, float] = field(default_factory=dict)
    #: The smaller the better.
    small: bool = False
    #: Takes an hour or more: run only where it is named.
    long: bool = False


#: aims are those that were set before the code was written; where there was none, the numbers stand alone
SCRIPTS = {
    "waits": Judged("seconds of what a user types", "wall, s"),
    "single_gene": Judged(
        "plain loop over exact scan",
        "ratio",
        {"": 1000, "CHETAH": 300, "scAnnotatR, 9 SVMs": 300, "scMLP, 128-64": 50},
    ),
    "instructions": Judged("the same in instructions", "ratio"),
    "where_the_time_goes": Judged("stages of a scan"),
    "floors": Judged("all queries over their floor", "ratio", {"scRF, 500 trees": 3, "scMLP, 128-64": 3}, small=True),
    "modify": Judged("modifying one gene over copying the data", "ratio", {"": 3}, small=True),
    "cgd": Judged("plain loop over CGD", "ratio", {"": 50}),
    "toolbox": Judged("toolbox over ours, FGSM and PGD", "ratio"),
    "black_box": Judged("toolbox over ours, per flipped cell", "ratio"),
    "rank_genes": Judged("scanpy's loop over rank_genes", "ratio"),
    "against_r": Judged("R (elsewhere) over ours", "ratio, roughly"),
    "paper": Judged(
        "seconds of the paper's figures, end to end", "wall, s", {"reproduce fig2 --jobs 2": 300}, small=True
    ),
    "sctype_table": Judged("seconds of the published table, two processes", "seconds"),
    "five_classifiers": Judged("seconds of the survey of five classifiers", "seconds"),
    "survey_jobs": Judged("one process over two", "ratio by the busiest process", {"2": 1.7}),
    "soundness": Judged("bounds of MinChange that do not hold", "violations", small=True),
    "min_change": Judged("genes that flip a cluster, proven and found", long=True),
    "sparse_peers": Judged("sparse attacks of others, beside ours", long=True),
    "import_time": Judged("seconds", "seconds", {"all of adverscarial, after them": 1}, small=True),
    "stress": Judged("seconds of a stress test of five classifiers", long=True),
    "growth": Judged("slope of seconds over cells, log-log", "slope of seconds", {"": 1.1}, small=True, long=True),
    "gpu": Judged("cpu over cuda", "ratio"),
    "hardening": Judged("before and after adversarial training", long=True),
    "scale": Judged("a million cells on disk: peak memory, GB", "peak, GB", {"": 2}, small=True, long=True),
}


def summary(name: str) -> dict[str, str]:
    """Return the line of one script, from the table that it saved last: the row farthest from its aim."""
    judged = SCRIPTS[name]
    line = {"script": name, "what": judged.what, "ratio": "", "aim": "", "reached": ""}
    path = HERE / "results" / f"{name}.json"
    if not judged.column or not path.is_file():
        return line
    rows = json.loads(path.read_text())["rows"]
    found = {str(next(iter(row.values()))): str(row[judged.column]).replace(",", "") for row in rows}
    numbers = {row: float(text) for row, text in found.items() if text}
    aims = {row: judged.aims.get(row, judged.aims.get("", 0.0)) for row in numbers}
    aims = {row: aim for row, aim in aims.items() if aim}
    if not aims:
        return line | {"ratio": f"{min(numbers.values()):,g} to {max(numbers.values()):,g}"}
    reached = [numbers[row] <= aim if judged.small else numbers[row] >= aim for row, aim in aims.items()]
    share = {row: numbers[row] / aim for row, aim in aims.items()}
    worst = max(share, key=share.__getitem__) if judged.small else min(share, key=share.__getitem__)
    line["ratio"] = f"{numbers[worst]:,g} ({worst})"
    line["aim"] = f"{'at most' if judged.small else 'at least'} {aims[worst]:,g}"
    line["reached"] = "yes" if all(reached) else f"{sum(reached)} of {len(reached)}"
    return line


def main() -> None:
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    names = [word.removesuffix(".py") for word in sys.argv[1:] if not word.startswith("-")] or [
        name for name, judged in SCRIPTS.items() if not judged.long
    ]
    if strange := [name for name in names if name not in SCRIPTS] + [word for word in options if word != "--quick"]:
        raise SystemExit(f"There is no {strange[0]}. Choose from: {', '.join(SCRIPTS)}; --quick.")
    for name in names:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, HERE / f"{name}.py", *options], check=True)
    if options:
        print("--quick saves nothing: what follows sums up the tables that were saved before.")
    from common import save, show

    lines = [summary(name) for name in SCRIPTS]
    print(show(lines))
    save("summary", lines)


if __name__ == "__main__":
    main()
