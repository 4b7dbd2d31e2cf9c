"""How much less does this version take than an older one? The same questions to both, in turn, in one run.

Each version runs in a process of its own, trains the paper's classifiers on one half of PBMC3k (the same seeds, so the
same models: that is checked), and is asked about the other half. Processor seconds, one thread.

    git worktree add ../older f7d3ac8
    python benchmarks/against.py ../older/src src
    python benchmarks/against.py ../older/src src --classifiers scRF --clusters B DC --log some.jsonl

A log keeps what has been asked, so that a run that was interrupted goes on, and tables can be made of several runs.
With ``--again``, only the newer version is asked about what is there: after a change of it, on the same machine.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
MODIFICATIONS = ("perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant")
CLASSIFIERS = ("scType", "CHETAH", "scAnnotatR", "scRF", "scMLP")
ASKED = ("seconds", "length", "queries")
STARTS = {
    "import adverscarial": "import adverscarial",
    "adverscarial --help": "import sys; sys.argv[1:] = ['--help']\nfrom adverscarial.cli import main\nmain()",
    "adverscarial --version": "import sys; sys.argv[1:] = ['--version']\nfrom adverscarial.cli import main\nmain()",
    "adverscarial list": "import sys; sys.argv[1:] = ['list']\nfrom adverscarial.cli import main\nmain()",
}


class Version:
    """One version of the package, in a process that answers questions."""

    def __init__(self, source: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{source.resolve()}{os.pathsep}{HERE}"}
        environment |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        self.environment = environment
        self._process: subprocess.Popen[str] | None = None

    def ask(self, **question: object) -> dict[str, object]:
        """Return the answer to a question, as :func:`answered` makes it."""
        if self._process is None:
            command = [sys.executable, str(Path(__file__).resolve()), "--answer"]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self._process = subprocess.Popen(command, text=True, env=self.environment, **pipes)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def start(self, code: str) -> float:
        """Return the processor seconds of a fresh interpreter that runs `code`, and of its end."""
        before = os.times()
        done = subprocess.run([sys.executable, "-c", code], env=self.environment, capture_output=True, check=False)
        after = os.times()
        if done.returncode:
            return float("nan")  # the older version may not know the command
        return after.children_user + after.children_system - before.children_user - before.children_system

    def end(self) -> None:
        """End the process."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()


def answers() -> None:
    """Answer questions, one a line, until there are none."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes elsewhere
    models: dict[str, object] = {}
    for line in sys.stdin:
        out.write(json.dumps(answered(models, **json.loads(line))) + "\n")
        out.flush()


def trained(name: str) -> tuple[object, object]:
    """Return one of the paper's five classifiers, and the cells to attack; CHETAH reads counts."""
    from adverscarial import classifiers
    from common import data_folder, halves

    train, test = halves()
    if name == "CHETAH":
        train, test = train.copy(), test.copy()
        for cells in (train, test):
            cells.X = cells.layers["counts"].toarray().astype(float)
    made = {
        "scType": lambda: classifiers.ScType(data_folder() / "sctype_db.tsv", tissue="Immune system"),
        "CHETAH": lambda: classifiers.Chetah().fit(train, "cell_type"),
        "scAnnotatR": lambda: classifiers.ScAnnotatR().fit(train, "cell_type", layer="lognorm", markers_layer="X"),
        "scRF": lambda: classifiers.RandomForest(seed=0).fit(train, "cell_type"),
        "scMLP": lambda: classifiers.MLP(seed=0).fit(train, "cell_type"),
    }
    return made[name](), test


def answered(models: dict, classifier: str, target: str, attack: str, modification: str) -> dict[str, object]:
    """Return what an attack found and took."""
    import adverscarial as adv
    from common import clock

    if classifier not in models:
        model, cells = trained(classifier)
        said = " ".join(model.predict(cells, layer="lognorm" if classifier == "scAnnotatR" else None).astype(str))
        models[classifier] = model, cells, hashlib.sha256(said.encode()).hexdigest()
    model, cells, identity = models[classifier]
    # f7d3ac8 wrote percentiles between two counts as they are, later versions make them whole: both are asked the same
    adv.modifications.Percentile.possible = False
    search = getattr(adv.attacks, attack)(modification)
    start = clock()
    result = search(cells, model, groupby="cell_type", target=target)
    seconds = clock() - start
    length = len(result.signature) if attack == "MaxChange" else len(result.genes)
    return {"seconds": seconds, "length": length, "queries": result.queries, "identity": identity}


def compared(
    old: Version, new: Version, question: dict[str, str], log: Path | None, again: bool
) -> dict[str, object]:  # fmt: skip
    """Ask both versions a question, and return one row; asked before, and in the log: that row.

    With `again`, the newer version is asked anew, and the older one's answer is that of the log.
    """
    known = [] if log is None or not log.is_file() else [json.loads(line) for line in log.read_text().splitlines()]
    row = next((row for row in known if question.items() <= row.items()), None)
    if row is not None and not again:
        return row
    now = new.ask(**question)
    before = old.ask(**question) if row is None else {name: row[f"{name} before"] for name in ASKED}
    assert before.get("identity", now["identity"]) == now["identity"], "the two versions trained different models"
    row = {**question}
    for name in ASKED:
        row |= {f"{name} before": before[name], name: now[name]}
    if log is not None and not again:
        with log.open("a") as file:
            file.write(json.dumps(row) + "\n")
    print(row, flush=True)
    return row


def summary(rows: list[dict], attack: str) -> list[dict[str, object]]:
    """Return one row per classifier, and one for all."""
    table = []
    names = list(dict.fromkeys(row["classifier"] for row in rows))
    for name in [*names, "all"]:
        some = [row for row in rows if name in (row["classifier"], "all")]
        before, now = (sum(row[key] for row in some) for key in ("seconds before", "seconds"))
        table.append(
            {
                "attack, classifier": f"{attack}, {name}",
                "cases": len(some),
                "before, s": f"{before:.1f}",
                "now, s": f"{now:.1f}",
                "ratio": f"{before / now:.1f}",
                "queries before": f"{sum(row['queries before'] for row in some):,}",
                "queries": f"{sum(row['queries'] for row in some):,}",
                "genes found before": f"{sum(row['length before'] for row in some):,}",
                "genes found": f"{sum(row['length'] for row in some):,}",
                "cases with a longer signature": sum(row["length"] > row["length before"] for row in some),
            }
        )
    return table


def starts(old: Version, new: Version, repeats: int) -> list[dict[str, object]]:
    """Return how long it takes to start; medians of runs that take turns."""
    table = []
    for what, code in STARTS.items():
        pairs = [(old.start(code), new.start(code)) for _ in range(repeats + 1)][1:]
        before, now = (sorted(times)[repeats // 2] for times in zip(*pairs, strict=True))
        table.append(
            {"what": what, "before, s": f"{before:.3f}", "now, s": f"{now:.3f}", "ratio": f"{before / now:.1f}"}
        )
    return table


def main() -> None:
    if "--answer" in sys.argv:
        answers()
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="folder src of one version")
    parser.add_argument("new", type=Path, help="folder src of the other")
    parser.add_argument("--only", choices=("start", "MaxChange", "SingleGene"), nargs="+")
    parser.add_argument("--classifiers", nargs="+", default=CLASSIFIERS)
    parser.add_argument("--clusters", nargs="+", help="all, if left out")
    parser.add_argument("--modifications", nargs="+", default=MODIFICATIONS)
    parser.add_argument("--log", type=Path, help="keeps what has been asked")
    parser.add_argument("--again", action="store_true", help="ask the newer version anew about what the log holds")
    parser.add_argument("--save", action="store_true", help="put the tables into the README")
    given = parser.parse_args()
    from common import halves, save, show

    old, new = Version(given.old), Version(given.new)
    wanted = given.only or ("start", "MaxChange", "SingleGene")
    clusters = given.clusters or sorted(halves()[1].obs["cell_type"].astype(str).unique())
    smallest = halves()[1].obs["cell_type"].value_counts().index[-1]
    tables = {"against_start": starts(old, new, 5)} if "start" in wanted else {}
    rows: list[dict[str, object]] = []
    for attack in ("MaxChange", "SingleGene"):
        if attack not in wanted:
            continue
        asked = []
        for name in given.classifiers:
            for version in (old, new):  # compiles what they need, and is not counted: a small cluster, all values
                for modification in MODIFICATIONS:
                    version.ask(classifier=name, target=smallest, attack=attack, modification=modification)
            for target, modification in itertools.product(clusters, given.modifications):
                question = {"classifier": name, "target": target, "attack": attack, "modification": modification}
                asked.append(compared(old, new, question, given.log, given.again))
        rows += summary(asked, attack)
    if rows:
        tables["against"] = rows
    for version in (old, new):
        version.end()
    for name, table in tables.items():
        print(show(table))
        if given.save:
            save(name, table)


if __name__ == "__main__":
    main()
