"""SHAP's ranking of genes beside `nearest()`, on the same forest and the same cells.

Needs shap, which the package does not: `pip install shap`, then `python benchmarks/shap_beside_nearest.py`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import shap
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestClassifier

import adverscarial as adv

TARGET = "CD14+ Monocyte"


def shap_ranking(forest: RandomForestClassifier, cells: pd.DataFrame) -> pd.Series:
    """Return the mean absolute SHAP value of each gene for the cluster's class, the largest first."""
    values = np.asarray(shap.TreeExplainer(forest).shap_values(cells))
    own = list(forest.classes_).index(TARGET)
    values = values[own] if values.shape[0] == len(forest.classes_) else values[:, :, own]
    return pd.Series(np.abs(values).mean(axis=0), index=cells.columns, name="shap").sort_values(ascending=False)


def main() -> None:
    """Print both rankings."""
    train, test = adv.datasets.split(adv.datasets.embedded(), "cell_type", seed=0)
    forest = RandomForestClassifier(200, random_state=0).fit(train.to_df(), train.obs["cell_type"])
    ranked = shap_ranking(forest, test.to_df()[(test.obs["cell_type"] == TARGET).to_numpy()])
    table = ranked.to_frame()
    for name in ("perc1", "perc99"):
        attack = adv.attacks.SingleGene(name, search="exact")
        result = attack(test, forest, groupby="cell_type", target=TARGET)
        lead = result.nearest(test.n_vars).set_index("gene")["lead"]
        table[name] = lead
        shared = len(set(ranked.index[:10]) & set(lead.index[:10]))
        rho = spearmanr(ranked[lead.index], lead).statistic
        print(
            f"{name}: {len(result.genes)} genes flip the label; {len(lead)} take some of its lead; of SHAP's "
            f"first ten, {shared} are among the ten nearest; rank correlation over genes that take lead {rho:.2f}"
        )
    places = table.rank(ascending=False, method="first")
    for name in ("perc1", "perc99"):
        table[f"place by {name}"] = places[name].astype("Int64")
    print(f"{int((ranked > 0).sum())} of {len(ranked)} genes have a SHAP value above 0")
    print(table.head(12).round(3).to_string())
    print(table.sort_values("perc99", ascending=False).head(5).round(3).to_string())


if __name__ == "__main__":
    main()
