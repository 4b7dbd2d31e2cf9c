"""Which values are meant: those of an AnnData, of its ``raw``, or of one modality of a MuData.

What was chosen is an AnnData of its own, which says in ``uns`` what it was chosen from. So it can be handed on to any
function with the same choice, and a result that was made of it knows which values it holds for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import pandas as pd
from anndata import AnnData

from adverscarial.cells.matrix import layers_of
from adverscarial.errors import DataError, ParameterError, did_you_mean, some

#: what values were chosen: ``{"mod": "prot"}``, ``{"use_raw": True}``, both, or nothing
Chosen = dict[str, str | bool]

RNA = ("rna", "RNA", "gex", "GEX")  # how people call gene expression
_MARK = "adverscarial_values"  # in uns


class Modalities(Protocol):
    """What a MuData is known by."""

    mod: Any
    obs: Any


#: cells x genes, or a MuData with such a modality
Cells: TypeAlias = AnnData | Modalities


def has_modalities(data: object) -> bool:
    """Return whether it is a MuData; a method ``mod`` (of a data frame) makes none."""
    return not isinstance(data, AnnData) and isinstance(getattr(data, "mod", None), Mapping)


def meant(data: Cells, *, mod: str | None = None, use_raw: bool = False, layer: str | None = None) -> AnnData:
    """Return the cells that are meant; an AnnData as it is, where nothing else is asked for.

    No values are copied. Something that is neither an AnnData nor a MuData is returned as it is, too: what reads it
    says what is wrong.

    Raises
    ------
    DataError
        If there is no such raw.
    ParameterError
        If `use_raw` and `layer` are given, as in scanpy; if there is no such modality; or if `mod` is given for an
        AnnData.
    """
    if use_raw and layer is not None:
        raise ParameterError("use_raw=True and layer= name different values. Leave one of them out.")
    if not isinstance(data, AnnData) and not has_modalities(data):
        return data
    found = chosen_of(data) if isinstance(data, AnnData) else {}
    if isinstance(data, AnnData) and mod in (None, found.get("mod")):
        return _raw(data, found) if use_raw and not found.get("use_raw") else data
    name = modality_name(data, mod)
    part = _in_memory(data.mod[name])
    part = AnnData(
        part.X, obs=with_shared(part.obs, data.obs), var=part.var, obsm=dict(part.obsm), layers=layers_of(part),
        raw=part.raw, uns={**part.uns, _MARK: {"mod": name}},
    )  # fmt: skip
    return _raw(part, {"mod": name}) if use_raw else part


def attacked(data: Cells, choice: Mapping[str, str | bool]) -> AnnData:
    """Return the cells that a result is of, of the data that the attack was given, or of what it chose from them."""
    mod = choice.get("mod")
    of_part = isinstance(data, AnnData) and "mod" not in chosen_of(data)  # the modality itself
    return meant(data, mod=None if mod is None or of_part else str(mod), use_raw=bool(choice.get("use_raw")))


def chosen_of(adata: AnnData) -> Chosen:
    """Return what these cells were chosen from; empty where they are as they were given."""
    mark = adata.uns.get(_MARK)
    if not isinstance(mark, Mapping):
        return {}
    raw = bool(mark.get("use_raw")) and adata.raw is None  # somebody set a raw since: it is another one
    return {**({"mod": str(mark["mod"])} if "mod" in mark else {}), **({"use_raw": True} if raw else {})}


def held_by(data: Cells, mod: str | None = None) -> AnnData:
    """Return the AnnData whose ``obs`` the cells have: itself, or the modality, to which columns can be added."""
    if isinstance(data, AnnData) or not has_modalities(data):
        return data
    held: AnnData = data.mod[modality_name(data, mod)]
    return held


def held_of(data: Cells, choice: Mapping[str, str | bool]) -> AnnData:
    """Return the same for a result: the AnnData to which its columns are added."""
    return held_by(data, str(choice["mod"]) if "mod" in choice else None)


def modality_name(data: Cells, mod: str | None) -> str:
    """Return the name of the modality that is meant.

    Raises
    ------
    DataError, ParameterError
        If there is none of that name, or these are no modalities.
    """
    if isinstance(data, AnnData):
        raise ParameterError(f"mod={mod!r} chooses a modality of a MuData; this is an AnnData. Leave mod out.")
    return named_modality(list(data.mod), mod, "MuData", "mod={!r}")


def named_modality(names: list[str], mod: str | None, what: str, how: str) -> str:
    """Return `mod`, else that of gene expression, else the only one; `how` says how another is chosen."""
    if mod is not None:
        if mod not in names:
            raise ParameterError(
                f"The {what} has no modality '{mod}'.{did_you_mean(mod, names)} It holds {some(names)}."
            )
        return mod
    usual = [name for name in RNA if name in names] or (names if len(names) == 1 else [])
    if not usual:
        have = some(names) or "no modality"
        advice = f" Choose one: {how.format(*names[:1] * 2)}." if names else ""
        raise DataError(f"The {what} holds {have}, and none is called 'rna'.{advice}")
    return usual[0]


def with_shared(obs: pd.DataFrame, shared: object) -> pd.DataFrame:
    """Return a copy of `obs` with the columns that all modalities share; those of one begin with its name and ":"."""
    obs = obs.copy()
    if isinstance(shared, pd.DataFrame) and shared.index.is_unique:
        for column in shared:
            if ":" not in str(column) and column not in obs:
                obs[column] = shared[column].reindex(obs.index)
    return obs


def _raw(adata: AnnData, found: Chosen) -> AnnData:
    """Return the cells with the values and genes of raw."""
    if adata.raw is None:
        raise DataError("There is no raw. Leave use_raw out to use X, or name a layer with layer=.")
    adata = _in_memory(adata)
    raw, uns = adata.raw, {**adata.uns, _MARK: {**found, "use_raw": True}}
    return AnnData(raw.X, obs=adata.obs, var=raw.var, obsm=dict(adata.obsm), uns=uns)


def _in_memory(adata: AnnData) -> AnnData:
    return adata.to_memory() if adata.isbacked else adata
