"""How many of the largest gains are needed to reach a sum? No set of fewer genes can reach it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial._compiled import compiled, compiled_within

#: more genes than any data set has: no number of genes is enough
NEVER = np.iinfo(np.int64).max // 4
_SMALL = 16  # below this many numbers, sorting costs less than dividing on


@compiled_within
def parted(numbers: np.ndarray, low: int, high: int) -> tuple[float, int, int, float]:
    """Reorder ``numbers[low:high]``: those above a pivot, those equal to it, those below it.

    Returns
    -------
    The pivot, where the numbers equal to it begin, where those below it begin, and the sum of those above it.
    """
    first, middle, last = numbers[low], numbers[(low + high) // 2], numbers[high - 1]
    pivot = max(min(first, middle), min(max(first, middle), last))
    above, at, below, sum_above = low, low, high, 0.0
    while at < below:
        value = numbers[at]
        if value > pivot:
            numbers[at], numbers[above] = numbers[above], value
            sum_above += value
            above += 1
            at += 1
        elif value < pivot:
            below -= 1
            numbers[at], numbers[below] = numbers[below], value
        else:
            at += 1
    return pivot, above, below, sum_above


@compiled
def fewest(gains: np.ndarray, n: int, need: float, strict: bool) -> int:
    """Return how many of ``gains[:n]`` at least must be added up to reach `need`, or to exceed it if `strict`.

    The array is reordered.
    """
    count, _ = fewest_and_least(gains, n, need, strict)
    return count


@compiled
def fewest_and_least(gains: np.ndarray, n: int, need: float, strict: bool) -> tuple[int, float]:
    """Return :func:`fewest`, and a number that the gains which are added up do not fall below.

    The largest gains reach any sum with the fewest terms. They are found as a quicksort finds them, but only the side
    on which the sum is reached is divided further, so the cost grows with `n` and not with ``n * log(n)``.
    """
    if need < 0 or (need == 0 and not strict):
        return 0, 0.0
    low, high, taken, count = 0, n, 0.0, 0
    while high - low > _SMALL:
        pivot, above, below, sum_above = parted(gains, low, high)
        total = taken + sum_above
        if total > need or (total == need and not strict):
            high = above
            continue
        taken, count = total, count + above - low
        for _ in range(below - above):
            taken += pivot
            count += 1
            if taken > need or (taken == need and not strict):
                return count, pivot
        low = below
    for i in range(low, high):  # the largest of the rest comes next; np.sort would be compiled first, for a second
        largest = i
        for j in range(i + 1, high):
            if gains[j] > gains[largest]:
                largest = j
        value = gains[largest]
        if value <= 0:
            break
        gains[largest], gains[i] = gains[i], value
        taken += value
        count += 1
        if taken > need or (taken == need and not strict):
            return count, value
    return NEVER, 0.0


@compiled_within
def _sink(heap: np.ndarray, at: int, n: int, totals: np.ndarray) -> None:
    """Let one gene of a heap of `n` sink to its place: below each gene stand two with smaller totals."""
    gene = heap[at]
    while 2 * at + 1 < n:
        child = 2 * at + 1
        if child + 1 < n and totals[heap[child + 1]] > totals[heap[child]]:
            child += 1
        if totals[heap[child]] <= totals[gene]:
            break
        heap[at], at = heap[child], child
    heap[at] = gene


@compiled_within
def heaped(totals: np.ndarray, floor: float, heap: np.ndarray) -> int:
    """Make a heap of the genes whose totals are above `floor`; return how many these are."""
    n = 0
    for j in range(len(totals)):
        heap[n] = j
        n += totals[j] > floor
    for at in range(n // 2 - 1, -1, -1):
        _sink(heap, at, n, totals)
    return n


class Top(NamedTuple):
    """The genes with the largest totals, taken off a heap one by one; they are left at its end."""

    heap: np.ndarray
    size: int  # of all genes on it at first
    taken: int
    total: float  # of those that are taken
    least: float  # of them, 0 for none


@compiled_within
def take(top: Top, totals: np.ndarray, need: float, m: int) -> Top:
    """Take off genes until their total is `need`, or more, and there are `m` at least; or until none is left."""
    heap, size, taken, total, least = top
    while taken < size and (total < need or taken < m):
        left = size - taken - 1
        heap[0], heap[left] = heap[left], heap[0]
        _sink(heap, 0, left, totals)
        taken += 1
        least = totals[heap[left]]
        total += least
    return Top(heap, size, taken, total, least)


@compiled
def fewest_of_rows(gains: np.ndarray, need: np.ndarray, strict: bool) -> np.ndarray:
    """Return :func:`fewest` for each row of `gains` (not changed), shape (cells, genes), and its own `need`."""
    out = np.empty(len(gains), dtype=np.int64)
    buffer = np.empty(gains.shape[1])
    for i in range(len(gains)):
        n = 0
        for j in range(gains.shape[1]):
            if gains[i, j] > 0:
                buffer[n] = gains[i, j]
                n += 1
        out[i] = fewest(buffer, n, need[i], strict)
    return out


@compiled
def fewest_of_products(
    steps: np.ndarray, cells: np.ndarray, weights: np.ndarray, need: np.ndarray, strict: bool
) -> np.ndarray:
    """Return :func:`fewest` for the gains ``max(0, steps[cell] * weights)`` of each cell, without storing them."""
    out = np.empty(len(cells), dtype=np.int64)
    buffer = np.empty(steps.shape[1])
    floor = 0.0  # gains below are left out at first: cells alike need about as many genes, and these are the largest
    for i in range(len(cells)):
        if need[i] < 0 or (need[i] == 0 and not strict):
            out[i] = 0
            continue
        n = _above(steps[cells[i]], weights, floor, buffer)
        out[i], least = fewest_and_least(buffer, n, need[i], strict)
        if out[i] == NEVER and floor > 0:
            n = _above(steps[cells[i]], weights, 0.0, buffer)
            out[i], least = fewest_and_least(buffer, n, need[i], strict)
        floor = least / 2
    return out


@compiled
def _above(steps: np.ndarray, weights: np.ndarray, floor: float, out: np.ndarray) -> int:
    """Write the products above `floor` to the start of `out`; return how many there are."""
    n = 0
    for j in range(len(steps)):
        gain = steps[j] * weights[j]
        out[n] = gain
        n += gain > floor
    return n


@compiled
def largest_sums(products: np.ndarray, scale: np.ndarray, m: int) -> np.ndarray:
    """Return for each column of ``products * scale[:, None]`` the sum of its `m` largest values, those above 0 only.

    Each column keeps its `m` largest values so far in a heap whose top is the least of them. Most values are below it,
    so one comparison is all they cost.
    """
    rows, columns = products.shape
    if m >= rows:
        total = np.zeros(columns)
        for i in range(rows):
            for k in range(columns):
                total[k] += max(products[i, k] * scale[i], 0.0)
        return total
    heaps, least = np.zeros((columns, m)), np.zeros(columns)
    for i in range(rows):
        for k in range(columns):
            value = products[i, k] * scale[i]
            if value <= least[k]:
                continue
            heap, place, child = heaps[k], 0, 1
            while child < m:
                if child + 1 < m and heap[child + 1] < heap[child]:
                    child += 1
                if heap[child] >= value:
                    break
                heap[place] = heap[child]
                place, child = child, 2 * child + 1
            heap[place] = value
            least[k] = heap[0]
    sums: np.ndarray = heaps.sum(axis=1)
    return sums
