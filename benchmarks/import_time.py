"""What loading all of adverscarial costs beyond the imports of what it needs, and the command line's first answer."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from common import QUICK, save, show

RUNS = 3 if QUICK else 5

#: prints the processor time of importing some modules, then of loading all public names of adverscarial
TIMED = """
import importlib, json, sys, time
start = time.process_time()
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
between = time.process_time()
from adverscarial import *
print(json.dumps([between - start, time.process_time() - between]))
"""

#: prints the modules of other packages that are loaded with it, in order
NEEDED = """
import json, sys
before = set(sys.modules)
from adverscarial import *
names = [name for name, module in sys.modules.items() if name not in before and getattr(module, "__spec__", None)]
print(json.dumps([name for name in names if name.split(".")[0] != "adverscarial"]))
"""

COMMAND = """
import sys, time
sys.argv = ["adverscarial", *sys.argv[1:]]
import contextlib, io
from adverscarial.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main()
print(time.process_time())
"""


def asked(code: str, *arguments: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def main() -> None:
    importable = [name for name in json.loads(asked(NEEDED)) if name != "__main__"]
    whole = [json.loads(asked(TIMED, json.dumps(importable))) for _ in range(RUNS)]
    needed, own = (statistics.median(times) for times in zip(*whole, strict=True))
    bare = statistics.median(float(asked("import time; print(time.process_time())")) for _ in range(RUNS))
    rows = [
        {"what": "the interpreter", "seconds": f"{bare:.3f}", "of its dependencies": ""},
        {"what": f"{len(importable):,} modules that it needs", "seconds": f"{needed:.3f}", "of its dependencies": ""},
        {
            "what": "all of adverscarial, after them",
            "seconds": f"{own:.3f}",
            "of its dependencies": f"{own / needed:.0%}",
        },
    ]
    for arguments in (["--help"], ["--version"], ["list"]):
        seconds = statistics.median(float(asked(COMMAND, *arguments)) for _ in range(RUNS))
        rows.append(
            {"what": f"adverscarial {' '.join(arguments)}", "seconds": f"{seconds:.3f}", "of its dependencies": ""}
        )
    print(show(rows))
    save("import_time", rows)


if __name__ == "__main__":
    main()
