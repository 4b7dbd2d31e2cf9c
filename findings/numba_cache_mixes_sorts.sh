#!/usr/bin/env bash
# Guess: compiled functions that are kept in files (cache=True) give the same answers whoever compiled them first.
# What happens: numba numbers the functions that a process compiles, names those inside np.sort and np.argsort by
# that number alone, and keeps the names. If one process compiled a sort and another an argsort under the same number,
# a third process that loads both files takes one for the other: wrong answers, without an error.
# Version: numba 0.68.1.
# Seen: "argsort gives [4607182418800017408 4611686018427387904 4613937818241073152], alone [1 2 0]"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check numba==0.68.1 numpy==2.4.6
cd "$folder"
for name in sort argsort; do
  printf 'import numba\nimport numpy as np\n\n\n@numba.njit(cache=True)\ndef %s(x):\n    return np.%s(x)\n' \
    "$name" "$name" >"kept_$name.py"
done
run() { venv/bin/python -c "import numba, numpy as np; x = np.array([3.0, 1.0, 2.0]); $1"; }
run 'import kept_sort; kept_sort.sort(x)'
# another small function first, so that the argsort gets the number that the sort had
alone=$(run 'numba.njit(lambda x: min(x, max(x, 2.0)))(1.0); import kept_argsort; print(kept_argsort.argsort(x))')
both=$(run 'import kept_sort, kept_argsort; kept_sort.sort(x); print(kept_argsort.argsort(x))')
echo "argsort gives $both, alone $alone"
[ "$alone" = "[1 2 0]" ]
[ "$both" != "$alone" ]
