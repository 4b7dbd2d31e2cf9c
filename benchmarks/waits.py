"""What a user waits for, as the command line gives it: help, one scan, a survey with its report."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import data_folder, save, show, wall


def commands(folder: Path) -> dict[str, list[str]]:
    """Return what is run, in this order: the later ones use files of the earlier ones."""
    cells = str(data_folder() / "pbmc3k.h5ad")
    asked = ["--groupby", "cell_type", "--preprocess", "lognorm"]
    forest, network = str(folder / "forest.npz"), str(folder / "mlp.npz")
    made = {
        "the help": ["--help"],
        "the demo: three classifiers, 700 cells, report": ["demo", "--out", str(folder / "demo")],
        "a forest trained": ["train", cells, *asked, "--classifier", "random-forest", "--out", forest],
        "a network trained": ["train", cells, *asked, "--classifier", "mlp", "--out", network],
    }
    for name, model in {"forest": forest, "network": network}.items():
        given = ["--classifier", model, *asked]
        made |= {
            f"every gene of one cluster, {name}": ["attack", cells, *given, "--target", "B"],
            f"genes needed for one cluster, {name}": [
                "attack", cells, *given, "--target", "B", "--attack", "min-change",
            ],
            f"a survey of all clusters with its report, {name}": [
                "survey", cells, *given, "--out", str(folder / f"survey-{name}"),
            ],
        }  # fmt: skip
    return made


def main() -> None:
    """Run the commands one after the other, and make the table."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for what, command in commands(Path(name)).items():
            before, start = os.times(), wall()
            run = [sys.executable, "-m", "adverscarial", *command]
            done = subprocess.run(run, capture_output=True, text=True, check=False)
            took, after = wall() - start, os.times()
            if done.returncode:
                raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
            processor = after.children_user + after.children_system - before.children_user - before.children_system
            shown = " ".join(Path(word).name if "/" in word else word for word in command)
            rows.append({
                "PBMC3k": what, "wall, s": f"{took:.1f}", "processor, s": f"{processor:.1f}",
                "command": f"`adverscarial {shown}`",
            })  # fmt: skip
            print(rows[-1], flush=True)
    print(show(rows))
    save("waits", rows)


if __name__ == "__main__":
    main()
