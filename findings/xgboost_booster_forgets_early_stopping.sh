#!/usr/bin/env bash
# Guess: a classifier and the booster inside it (get_booster) give the same probabilities for the same cells.
# What happens: after early stopping the classifier uses the trees up to best_iteration, while Booster.predict uses
# all of them, the worse ones included. Nothing is said, and some cells get another label.
# Version: xgboost-cpu 3.2.0.
# Seen: "best_iteration 0, but 6 rounds in the booster; largest difference 0.60, 10 of 300 labels differ"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    xgboost-cpu==3.2.0 scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import xgboost

rng = np.random.default_rng(0)
counts = rng.poisson(1, (300, 20)).astype("float32")
labels = (counts[:, 0] + counts[:, 1] > 2).astype(int) + (counts[:, 2] > 2)
noise = rng.permutation(labels[200:])  # an evaluation set that stops the training early
model = xgboost.XGBClassifier(n_estimators=300, learning_rate=0.5, early_stopping_rounds=5)
model.fit(counts[:200], labels[:200], eval_set=[(counts[200:], noise)], verbose=False)

booster = model.get_booster()
first, second = model.predict_proba(counts), booster.predict(xgboost.DMatrix(counts))
differ = int((first.argmax(1) != second.argmax(1)).sum())
print(
    f"best_iteration {model.best_iteration}, but {booster.num_boosted_rounds()} rounds in the booster; "
    f"largest difference {abs(first - second).max():.2f}, {differ} of 300 labels differ"
)
assert model.best_iteration + 1 < booster.num_boosted_rounds()
assert differ > 0
best = booster.predict(xgboost.DMatrix(counts), iteration_range=(0, model.best_iteration + 1))
np.testing.assert_allclose(first, best, atol=1e-6)
PYTHON
