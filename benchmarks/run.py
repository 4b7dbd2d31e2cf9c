"""Run the benchmarks, each in its own process, fill the tables of the README, and sum up in one line each.

python benchmarks/run.py [--quick] [NAME ...]    all of them, or those named; --quick is smaller and saves no table
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

#: script -> what is compared, the column that holds the ratio, how it is judged over the rows, and the aim;
#: no aim: the table is all there is
AIMS: dict[str, tuple[str, str, str, float | None]] = {
    "single_gene": ("plain loop over exact scan, least family", "ratio", "least", 250),
    "where_the_time_goes": ("stages of a scan", "", "", None),
    "floors": ("scans of forest and MLP over their floors, worst", "ratio", "most", 3),
    "cgd": ("plain loop over CGD, least family", "ratio", "least", 50),
    "toolbox": ("toolbox over ours, FGSM and PGD, least", "ratio", "least", None),
    "black_box": ("toolbox over ours, per flipped cell", "ratio", "least", 10),
    "rank_genes": ("scanpy's loop over rank_genes, least test", "ratio", "least", 5),
    "against_r": ("R over ours, least call", "ratio, roughly", "least", None),
    "sctype_table": ("the published table, seconds", "", "", None),
    "five_classifiers": ("the survey of five classifiers, seconds", "", "", None),
    "survey_jobs": ("one process over two", "ratio by the busiest process", "most", 1.7),
    "import_time": ("import beyond its dependencies, share", "of its dependencies", "most", 10),
    "hardening": ("before and after adversarial training", "", "", None),
}

#: rows of the table of floors that the aim is about
JUDGED = {"floors": ("scRF, 500 trees", "scMLP, 128-64")}


def summary(name: str) -> dict[str, str]:
    """Return the line of one script, from the table that it saved last."""
    what, column, judged, aim = AIMS[name]
    line = {"script": name, "what": what, "ratio": "", "aim": "", "reached": ""}
    path = HERE / "results" / f"{name}.json"
    if not column or not path.is_file():
        return line
    rows = json.loads(path.read_text())["rows"]
    if name in JUDGED:
        rows = [row for row in rows if row["family"] in JUDGED[name]]
    ratios = [float(str(row[column]).replace(",", "").rstrip("%")) for row in rows if row[column] != ""]
    ratio = min(ratios) if judged == "least" else max(ratios)
    unit = "%" if "%" in str(rows[-1][column]) or name == "import_time" else ""
    line["ratio"] = f"{ratio:,g}{unit}"
    if aim is not None:
        small = name in ("floors", "import_time")  # the smaller the better
        line["aim"] = f"{'at most' if small else 'at least'} {aim:g}{unit}"
        line["reached"] = "yes" if (ratio <= aim if small else ratio >= aim) else "no"
    return line


def main() -> None:
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    names = [word.removesuffix(".py") for word in sys.argv[1:] if not word.startswith("-")] or list(AIMS)
    if strange := [name for name in names if name not in AIMS] + [word for word in options if word != "--quick"]:
        raise SystemExit(f"There is no {strange[0]}. Choose from: {', '.join(AIMS)}; --quick.")
    for name in names:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, HERE / f"{name}.py", *options], check=True)
    if options:
        print("--quick saves nothing: what follows sums up the tables that were saved before.")
    from common import save, show

    lines = [summary(name) for name in AIMS]
    print(show(lines))
    if not options:
        save("summary", lines)


if __name__ == "__main__":
    main()
