"""The parts of scAnnotatR: marker genes by rank tests, a linear SVM that gives probabilities, types below types.

Follows scAnnotatR 1.5 (MIT), the adapter of the adverSCarial article, and kernlab's ``ksvm`` (formulas only).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from adverscarial._compiled import compiled
from adverscarial._docs import documented
from adverscarial._progress import bar
from adverscarial.cells.matrix import CellMatrix
from adverscarial.cells.ranktests import compare, rank_sum_p
from adverscarial.cells.zscores import deviation, standardised
from adverscarial.errors import DataError, ParameterError, did_you_mean, some

#: parts of a label that make scAnnotatR leave its cells out of the training
AMBIGUOUS = ("/", ",", " -", " +", ".", " and ", " or ", "_or_", "-or-", "(", ")", "ambiguous")
#: kernlab's and libsvm's default; a tighter one finds a slightly different optimum (2e-3 in the decision values)
_TOLERANCE = 1e-3
_SMALLEST_DIFFERENCE = 0.5  # of means, for a marker
_VALUES = 4_000_000  # values made dense and sorted at a time: 80 MB


@dataclass(frozen=True)
class LinearSVM:
    """One "this type or not" machine on z-scores.

    ``f = w @ ((z - center) / scale) - b``, where f < 0 favours the type, and the probability of the type is
    ``1 / (1 + exp(-(platt_a * f + platt_b)))``.
    """

    center: np.ndarray
    scale: np.ndarray
    w: np.ndarray
    b: float
    platt_a: float
    platt_b: float

    def decision(self, Z: np.ndarray) -> np.ndarray:
        """Return f for each row of z-scores, shape (cells,)."""
        f: np.ndarray = ((Z - self.center) / self.scale) @ self.w - self.b
        return f

    def probability(self, Z: np.ndarray) -> np.ndarray:
        """Return the probability of the type for each row of z-scores, shape (cells,)."""
        probability: np.ndarray = expit(self.platt_a * self.decision(Z) + self.platt_b)
        return probability


@dataclass(frozen=True)
class TypeModel:
    """The classifier of one cell type: its marker genes, its machine, and the probability from which it says yes."""

    cell_type: str
    markers: tuple[str, ...]
    svm: LinearSVM
    threshold: float = 0.5
    parent: str | None = None


def type_model(model: Mapping[str, Any]) -> TypeModel:
    """Return the :class:`TypeModel` of one exported R model (see :meth:`ScAnnotatR.from_models`)."""
    needed = ["cell_type", "feature_order", "center", "scale", "w", "b", "platt_A", "platt_B"]
    if absent := [key for key in needed if key not in model]:
        raise DataError(f"A model lacks {absent}; each needs {needed}.")
    name, markers = str(model["cell_type"]), tuple(map(str, model["feature_order"]))
    center, scale, w = (np.array(model[key], dtype=np.float64) for key in ("center", "scale", "w"))
    if not len(set(markers)) == len(center) == len(scale) == len(w) > 0:
        raise DataError(f"Model '{name}': feature_order (no gene twice), center, scale and w differ in length.")
    if not (np.isfinite([center, scale, w]).all() and (scale > 0).all()):
        raise DataError(f"Model '{name}': center, scale and w must be finite numbers, and scale positive.")
    if list(model.get("levels", ["yes", "no"])) != ["yes", "no"]:
        raise DataError(f"Model '{name}': its levels are {model['levels']}, expected ['yes', 'no'] in this order.")
    svm = LinearSVM(center, scale, w, float(model["b"]), float(model["platt_A"]), float(model["platt_B"]))
    return TypeModel(name, markers, svm, float(model.get("p_thres", 0.5)), model.get("parent"))


def zscore(X: np.ndarray) -> np.ndarray:
    """Return each column minus its mean, over its sd (n - 1); a constant column becomes zeros.

    Values are first taken relative to the column's first one: a constant column is then zero without rounding, and
    large values that differ little lose nothing.
    """
    deviations = np.asarray(X, dtype=np.float64)
    if len(deviations) == 0:
        return deviations
    deviations = deviations - deviations[:1]
    deviations -= deviations.mean(axis=0)
    sd = deviation((deviations**2).sum(axis=0), len(deviations))
    return standardised(deviations, np.zeros(1), sd)


def down_sample(yes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return positions, "yes" first, with the larger class drawn down to the size of the smaller (caret)."""
    sides = np.flatnonzero(yes), np.flatnonzero(~yes)
    size = min(map(len, sides))
    return np.concatenate([np.sort(generator.choice(side, size, replace=False)) for side in sides])


def deal_folds(yes: np.ndarray, generator: np.random.Generator, n_folds: int = 3) -> list[np.ndarray]:
    """Return folds of positions: both classes shuffled, laid end to end and dealt like cards."""
    deck = np.concatenate([generator.permutation(np.flatnonzero(side)) for side in (yes, ~yes)])
    return [deck[k::n_folds] for k in range(n_folds)]


def fit_svm(Z: np.ndarray, yes: np.ndarray, folds: Sequence[np.ndarray]) -> LinearSVM:
    """Train on z-scores, as ``ksvm(type="C-svc", kernel="vanilladot", C=1, prob.model=TRUE)`` does.

    Parameters
    ----------
    Z
        z-scores, shape (cells, markers).
    yes
        Which cells are of the type, shape (cells,).
    folds
        Positions held out in turn, for the probabilities; what remains must hold both classes.
    """
    constant = bool((Z[:1] == Z).all(axis=0).any())  # then kernlab scales no column at all
    center = np.zeros(Z.shape[1]) if constant else Z.mean(axis=0)
    scale = np.ones(Z.shape[1]) if constant else Z.std(axis=0, ddof=1)
    scaled = (Z - center) / scale
    w, b = _separate(scaled, yes)
    held_out = np.empty(len(yes))
    for k, fold in enumerate(folds):
        kept = np.concatenate([other for j, other in enumerate(folds) if j != k])
        w_kept, b_kept = _separate(scaled[kept], yes[kept])
        held_out[fold] = scaled[fold] @ w_kept - b_kept
    return LinearSVM(center, scale, w, b, *platt(held_out, ~yes))


def _separate(X: np.ndarray, yes: np.ndarray) -> tuple[np.ndarray, float]:
    """Return w and b of ``w @ x - b``, negative for "yes" as in kernlab (libsvm walks the same path to it)."""
    from sklearn.svm import SVC

    machine = SVC(kernel="linear", C=1.0, tol=_TOLERANCE).fit(X, yes.astype(int))
    return -machine.coef_[0], float(machine.intercept_[0])


def platt(f: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Return A and B of ``P(positive) = 1 / (1 + exp(A f + B))`` (Platt 2000; Newton of Lin, Lin and Weng 2007).

    kernlab's settings: ridge 1e-3 on the Hessian's diagonal, at most 100 iterations, gradient below 1e-5.
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    target = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))

    def loss(at: np.ndarray) -> float:
        value = at[0] * f + at[1]
        return float(np.sum(np.logaddexp(0.0, value) + (target - 1) * value))

    point = np.array([0.0, np.log((n_negative + 1) / (n_positive + 1))])
    now = loss(point)
    for _ in range(100):
        p = expit(-(point[0] * f + point[1]))
        slope = target - p
        gradient = np.array([f @ slope, slope.sum()])
        if (np.abs(gradient) < 1e-5).all():
            break
        weight = p * (1 - p)
        mixed = f @ weight
        hessian = np.array([[f**2 @ weight + 1e-3, mixed], [mixed, weight.sum() + 1e-3]])
        step = -np.linalg.solve(hessian, gradient)
        length = 1.0
        while length >= 1e-10:
            there = loss(point + length * step)
            if there < now + 1e-4 * length * float(gradient @ step):
                break
            length /= 2
        else:
            break  # no step is better any more
        point, now = point + length * step, there
    return float(point[0]), float(point[1])


@documented
def rank_markers(
    matrix: CellMatrix, codes: Sequence[np.ndarray], n_markers: int, *, progress: bool | None = None
) -> list[np.ndarray]:
    """Return marker genes (positions) of several types, the clearest first.

    A gene's p-value is the smallest of the two-sided Wilcoxon rank-sum tests of the type against all others and against
    each other cluster; genes whose mean differs from that of all others by at most 0.5 do not count.

    Parameters
    ----------
    matrix
        Cells x genes, meant to be scaled.
    codes
        For each type, what each cell is to it: 0 the type itself, 1, 2, ... another cluster, -1 left out.
    n_markers
        Genes wanted; fewer are returned where fewer differ enough.
    %(progress)s
    """
    n_cells, n_genes = matrix.shape
    p = np.empty((len(codes), n_genes))
    difference = np.empty((len(codes), n_genes))
    width = max(1, _VALUES // n_cells)
    starts = range(0, n_genes, width)
    with bar("Ranking marker genes", len(starts) * len(codes), progress) as advance:
        for start in starts:
            part = np.arange(start, min(start + width, n_genes))
            values = np.ascontiguousarray(matrix.columns(part).T, dtype=np.float64)
            order = np.argsort(values, axis=1, kind="stable")  # far quicker where most cells have one value
            for t, code in enumerate(codes):
                p[t, part] = smallest_p(values, order, code)
                difference[t, part] = values[:, code == 0].mean(axis=1) - values[:, code > 0].mean(axis=1)
                advance()
    ranked = []
    for t in range(len(codes)):
        by_p = np.argsort(p[t], kind="stable")
        ranked.append(by_p[np.abs(difference[t, by_p]) > _SMALLEST_DIFFERENCE][:n_markers])
    return ranked


def smallest_p(values: np.ndarray, order: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Return the smallest p-value of each gene, shape (genes,).

    Parameters
    ----------
    values, order
        Genes x cells, and what sorts each row.
    code
        As for :func:`rank_markers`.
    """
    sizes = np.bincount(code[code >= 0])
    u = np.empty((len(values), len(sizes)))
    ties = np.empty_like(u)
    starts = np.append(0, np.cumsum(sizes)).astype(np.int64)
    ordered, filled = np.empty(starts[-1]), np.empty(len(sizes), dtype=np.int64)
    _rank_sums(values, order, code.astype(np.int64), starts, u, ties, ordered, np.empty_like(ordered), filled)
    others = [int(sizes[1:].sum()), *map(int, sizes[1:])]
    tests = [rank_sum_p(u[:, k], ties[:, k], int(sizes[0]), n) for k, n in enumerate(others)]
    smallest: np.ndarray = np.min(tests, axis=0)
    return smallest


@compiled
def _rank_sums(
    values: np.ndarray, order: np.ndarray, code: np.ndarray, starts: np.ndarray, u: np.ndarray, ties: np.ndarray,
    ordered: np.ndarray, others: np.ndarray, filled: np.ndarray,
) -> None:  # fmt: skip
    """Fill `u` and `ties` (genes x tests): the type against all others, then against each other cluster.

    `starts` says where each cluster begins among `ordered`; the last three arrays are room to work in.
    """
    for g in range(len(values)):
        for c in range(len(filled)):
            filled[c] = starts[c]
        n_others = 0
        for cell in order[g]:
            c = code[cell]
            if c < 0:
                continue
            ordered[filled[c]] = values[g, cell]
            filled[c] += 1
            if c > 0:
                others[n_others] = values[g, cell]
                n_others += 1
        own, rest = ordered[: starts[1]], others[:n_others]
        for c in range(len(filled)):
            if c == 0:
                sample, shift = rest, 1e-5
            else:
                sample, shift = ordered[starts[c] : starts[c + 1]], 1e-3
            last, last_own = sample[-1], own[-1]
            # the original shifts one value of a constant sample before testing
            sample[-1] += shift if sample[0] == last else 0.0
            own[-1] += shift if own[0] == last_own else 0.0
            u[g, c], ties[g, c] = compare(own, sample)
            sample[-1], own[-1] = last, last_own


def checked_parents(parents: Mapping[str, str], types: Sequence[str]) -> dict[str, str]:
    """Return `parents` if all of it names types, and no type is its own ancestor."""
    for child, parent in parents.items():
        for name in (child, parent):
            if name not in types:
                raise ParameterError(
                    f"ScAnnotatR: parents= names '{name}', which is no trained type.{did_you_mean(name, types)} "
                    f"Types: {some(types, 20)}."
                )
        ancestors(child, parents)
    return dict(parents)


def ancestors(name: str, parents: Mapping[str, str]) -> list[str]:
    """Return the ancestors of a type, nearest first."""
    above: list[str] = []
    while name in parents:
        name = parents[name]
        if name in above:
            raise ParameterError(f"ScAnnotatR: parents= runs in a circle through '{name}'.")
        above.append(name)
    return above


def descendants(name: str, parents: Mapping[str, str]) -> list[str]:
    """Return the descendants of a type."""
    return [child for child in parents if name in ancestors(child, parents)]


def is_left_out(label: str) -> bool:
    """Return whether scAnnotatR leaves cells with this label out of the training."""
    return label == "not applicable" or any(part in label for part in AMBIGUOUS)


def check_sizes(
    members: Mapping[str, np.ndarray], scopes: Mapping[str, np.ndarray], used: np.ndarray, groupby: str
) -> None:
    """Raise a DataError where a type has fewer than two cells to train on, or to tell it from."""
    for name, inside in members.items():
        n_yes, n_no = (int((used & scopes[name] & side).sum()) for side in (inside, ~inside))
        if min(n_yes, n_no) < 2:
            raise DataError(
                f"ScAnnotatR: type '{name}' of obs['{groupby}'] has {n_yes} cells to train on, "
                f"and {n_no} others to tell it from; it needs two of each. Drop the type or join it with another."
            )


def cluster_codes(labels: np.ndarray, clusters: Sequence[str], own: np.ndarray, scope: np.ndarray) -> np.ndarray:
    """Return 0 for the type's own cells, 1, 2, ... for the other clusters in scope, -1 for cells out of scope."""
    code = np.full(len(labels), -1, dtype=np.int64)
    others = [mask for name in clusters if (mask := (labels == name) & scope & ~own).any()]
    for k, mask in enumerate(others, start=1):
        code[mask] = k
    code[own] = 0
    return code


def stored_models(models: Sequence[TypeModel]) -> tuple[list[list[object]], dict[str, np.ndarray]]:
    """Return models as a file holds them: type, markers and parent of each, and arrays."""
    arrays = {key: np.concatenate([getattr(m.svm, key) for m in models]) for key in ("center", "scale", "w")}
    arrays["numbers"] = np.array([[m.svm.b, m.svm.platt_a, m.svm.platt_b, m.threshold] for m in models])
    return [[m.cell_type, list(m.markers), m.parent] for m in models], arrays


def models_of(
    types: Sequence[tuple[str, Sequence[str], str | None]], arrays: Mapping[str, np.ndarray]
) -> list[TypeModel]:
    """Return the models that :func:`stored_models` stored."""
    ends = np.cumsum([len(markers) for _, markers, _ in types])[:-1]
    parts = zip(*(np.split(arrays[key], ends) for key in ("center", "scale", "w")), strict=True)
    models = []
    for (name, markers, parent), (center, scale, w), numbers in zip(types, parts, arrays["numbers"], strict=True):
        b, platt_a, platt_b, threshold = map(float, numbers)
        models.append(
            TypeModel(name, tuple(markers), LinearSVM(center, scale, w, b, platt_a, platt_b), threshold, parent)
        )
    return models


def plain_markers(markers: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]] | None:
    """Return the user's marker genes as a file holds them."""
    return None if markers is None else {str(t): [str(g) for g in genes] for t, genes in markers.items()}


def plain_parents(parents: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return the user's parents of types as a file holds them."""
    return None if parents is None else {str(child): str(parent) for child, parent in parents.items()}
