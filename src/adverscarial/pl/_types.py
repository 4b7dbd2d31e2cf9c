"""A colour for each cell type, the same in every picture, and never one for two types."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from anndata import AnnData

from adverscarial.errors import ParameterError
from adverscarial.pl._options import colours
from adverscarial.pl._style import ATTACKED

#: Tol's "muted" colours without the two that come near the attacked cells', for few types
_TINTS = ("#88ccee", "#ddcc77", "#44aa99", "#aa4499", "#999933", "#332288", "#117733", "#882255")
_STRENGTH = 0.8  # of the tints: the attacked cells stand out


def colours_of_types(adata: AnnData, groupby: str, names: Sequence[str]) -> dict[str, str]:
    """Return one colour for each name: as asked for, else as scanpy keeps them in ``uns``, else of its own.

    Parameters
    ----------
    adata, groupby
        Where ``uns["GROUPBY_colors"]`` are looked for; they belong to the categories of the column.
    names
        Types, in their order.

    Raises
    ------
    ParameterError
        If fewer colours were asked for than there are types.
    """
    column = adata.obs.get(groupby)
    types = [] if column is None else sorted(map(str, column.dropna().unique()))
    every = list(dict.fromkeys([*types, *names]))  # those of the data first, whether this picture shows them or not
    kept = _kept(adata, groupby, every)
    free = iter([one for one in _distinct(len(every) + len(kept)) if one not in {*kept.values(), ATTACKED}])
    own = {name: kept[name] if name in kept else next(free) for name in every}
    usual = [own[name] for name in names]
    chosen = colours(usual, names)
    if len(chosen) < len(names):
        raise ParameterError(
            f"palette has {len(chosen)} colours for {len(names)} types; give as many, or leave it out: no colour "
            "stands for two types."
        )
    return dict(zip(names, chosen, strict=False))


def _kept(adata: AnnData, groupby: str, names: Sequence[str]) -> dict[str, str]:
    """Return the colours that the data have for these types; none where two are the same."""
    from matplotlib.colors import is_color_like, to_hex

    column, listed = adata.obs.get(groupby), adata.uns.get(f"{groupby}_colors")
    if column is None or listed is None or not isinstance(column.dtype, pd.CategoricalDtype):
        return {}
    categories = [str(name) for name in column.cat.categories]
    if len(listed) != len(categories) or not all(is_color_like(str(one)) for one in listed):
        return {}
    found = {name: to_hex(str(one)) for name, one in zip(categories, listed, strict=True) if name in set(names)}
    return found if len(set(found.values())) == len(found) else {}


def _distinct(n: int) -> list[str]:
    """Return `n` colours and some more, all different."""
    from colorsys import hsv_to_rgb

    from matplotlib.colors import LinearSegmentedColormap, to_hex

    tints = [to_hex(LinearSegmentedColormap.from_list("", ["white", tint])(_STRENGTH)) for tint in _TINTS]
    if n <= len(tints):
        return tints
    from scanpy.plotting.palettes import default_20, default_102

    for listed in (default_20, default_102):
        if n < len(listed):
            return [to_hex(one) for one in listed]
    turns = [to_hex(hsv_to_rgb((k * 0.618) % 1, 0.5 + 0.4 * (k % 2), 0.95 - 0.1 * (k % 3))) for k in range(4 * n)]
    return list(dict.fromkeys(turns))
