"""How much longer than a plain copy of the data does it take to modify one gene? PBMC3k, sparse and dense."""

from __future__ import annotations

from functools import partial

import adverscarial as adv
from common import median_seconds, pbmc3k, save, show

MODIFICATIONS = ("perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant", "random", "fixed:3")


def main() -> None:
    sparse = pbmc3k()
    sparse.X = sparse.layers["lognorm"].copy()
    dense = sparse.copy()
    dense.X = dense.X.toarray()
    rows: list[dict[str, object]] = []
    for form, adata in (("sparse", sparse), ("dense", dense)):
        for name in MODIFICATIONS:
            copied = median_seconds(adata.copy)
            one = partial(adv.modify, adata, ["CD79A"], name, groupby="cell_type", target="B")
            modified = median_seconds(one)
            inplace = median_seconds(partial(one, inplace=True))
            numbers = {
                "copy, ms": 1000 * copied, "modify, ms": 1000 * modified, "inplace, ms": 1000 * inplace,
                "ratio": modified / copied,
            }  # fmt: skip
            rows.append({"values": f"{form}, {name}", **{key: f"{value:.1f}" for key, value in numbers.items()}})
    print(show(rows))
    save("modify", rows)


if __name__ == "__main__":
    main()
