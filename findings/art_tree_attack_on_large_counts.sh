#!/usr/bin/env bash
# Guess: the decision tree attack knows the tree, so what it returns has another label, or it says that it failed.
# What happens: a value is put 0.001 beyond the tree's threshold. From 32768 on a float32 has no room for that: the tree
# reads the threshold itself, which lies on the old side. Of sums of counts that large, about half of the samples,
# all of them changed, keep their label, with float64 input too, since the tree reads that as float32. Nothing is said.
# Version: adversarial-robustness-toolbox 1.20.1, scikit-learn 1.7.2.
# Seen: "counts around 1000: 1.00 changed, 1.00 with another label", "counts around 100000: 1.00 changed, 0.57 with
# another label", "the same with offset=1: 1.00 with another label"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    adversarial-robustness-toolbox==1.20.1 scikit-learn==1.7.2 numpy==2.3.5 scipy==1.17.1 setuptools==80.9.0 \
    packaging==26.4
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
from art.attacks.evasion import DecisionTreeAttack
from art.estimators.classification import SklearnClassifier
from sklearn.tree import DecisionTreeClassifier

rng = np.random.default_rng(0)


def attack(mean, **settings):
    counts = rng.poisson(mean, (300, 10)).astype(float)
    labels = np.array(["B", "T"])[(counts[:, 0] + counts[:, 1] > 2 * mean).astype(int)]
    tree = DecisionTreeClassifier(random_state=0).fit(counts, labels)
    attacker = DecisionTreeAttack(SklearnClassifier(tree), verbose=False, **settings)
    returned = attacker.generate(counts.copy())
    changed = (returned != counts).any(axis=1).mean()
    return float(changed), float((tree.predict(returned) != tree.predict(counts)).mean())


small, large, wide = attack(1000), attack(100000), attack(100000, offset=1)
print(f"counts around 1000: {small[0]:.2f} changed, {small[1]:.2f} with another label")
print(f"counts around 100000: {large[0]:.2f} changed, {large[1]:.2f} with another label")
print(f"the same with offset=1: {wide[1]:.2f} with another label")
assert small == wide == (1, 1)
assert large[0] == 1
assert large[1] < 0.7
PYTHON
