"""What a survey found, in sentences. None of them may claim more than was tested."""

from __future__ import annotations

from collections.abc import Iterable

from adverscarial.attacks import MaxChangeResult, SingleGeneResult
from adverscarial.classifiers.base import is_named
from adverscarial.modifications import Aberrant, Decile, Dropout, Fixed, Modification, Percentile, Random, Thinning
from adverscarial.report.grid import Entry, Grid


def count(n: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun.

    >>> count(1, "gene"), count(13714, "gene")
    ('1 gene', '13,714 genes')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def percent(share: float) -> str:
    """Return a share in percent; neither everything nor nothing is said of what is only close to it.

    >>> percent(0.5), percent(0.9999), percent(1.0), percent(0.0001)
    ('50%', '>99%', '100%', '<1%')
    """
    text = f"{share:.0%}"
    return ">99%" if text == "100%" and share < 1 else "<1%" if text == "0%" and share > 0 else text


def decimal(number: float) -> str:
    """Return a number with one decimal, or none where there is none.

    >>> decimal(13675.0), decimal(16.68)
    ('13,675', '16.7')
    """
    return f"{number:,.1f}".removesuffix(".0")


def listed(names: Iterable[object], most: int = 4) -> str:
    """Return names as prose.

    >>> listed(["B", "NK", "T"]), listed("ABCDEF")
    ('B, NK and T', 'A, B, C, D and 2 others')
    """
    shown = [str(name) for name in names]
    if len(shown) > most:
        return f"{', '.join(shown[:most])} and {count(len(shown) - most, 'other')}"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def searches(grid: Grid, n: int) -> str:
    """Return, for example, ``3 of 45 single-gene searches``."""
    noun = "single-gene search" if grid.kind == "single" else "signature search"
    return f"{n:,} of {count(len(grid.entries), noun, noun + 'es')}"


def max_change(grid: Grid) -> list[str]:
    """Return how much of the transcriptome can be rewritten without one classifier noticing."""
    done = sorted(grid.done, key=lambda entry: entry.value or 0)
    if not done:
        return [f"{searches(grid, len(grid.entries))} failed."]
    free = [entry for entry in done if entry.value == 0]
    bound = [entry for entry in done if entry.value != 0]
    said = []
    if free:
        said.append(f"In {searches(grid, len(free))} no gene has to stay; for example, {_holds(free[0])}.")
    if bound:
        shortest = _holds(bound[0])
        said.append(
            f"The shortest signature elsewhere: {shortest}." if free else f"{shortest[0].upper()}{shortest[1:]}."
        )
    if len(bound) > 1 and bound[-1].value != bound[0].value:
        said.append(f"The longest signature found: {_holds(bound[-1])}.")
    return said


def _holds(entry: Entry) -> str:
    """Return what stayed of one cluster's label, beginning with ``the label``."""
    result = entry.result
    assert isinstance(result, MaxChangeResult)
    left, free = len(result.protected), len(result.modifiable)
    label = f"the label of cluster {entry.cluster}"
    if not free:
        return f"{label} was not found to hold with even one of {count(left, 'gene')} rewritten ({entry.heading})"
    genes = f"{free:,} of {count(left + free, 'gene')}" if left else f"all {count(free, 'gene')}"
    text = f"{label} holds while {genes} are rewritten at once ({entry.heading})"
    if left and entry.marks:
        return f"{text}; the other {left:,} were left as they are, though fewer may do"
    return f"{text}; {count(left, 'gene')} {'carries' if left == 1 else 'carry'} it (signature)" if left else text


def caveats(grid: Grid, genes_of_data: int, known: Iterable[str] = ()) -> list[str]:
    """Return what limits the numbers of one grid; empty when nothing does. `known`: labels the classifier can give."""
    results = [entry.result for entry in grid.done if entry.result is not None]
    single = [r for r in results if isinstance(r, SingleGeneResult)]
    several = [r for r in results if isinstance(r, MaxChangeResult)]
    sizes = [r.n_genes for r in single] + [len(r.protected) + len(r.modifiable) for r in several]
    spent = "genes can be missing" if grid.kind == "single" else "signatures can be longer than need be"
    notes = {
        "failed, so nothing is known there; the errors are listed under the table": len(grid.failed),
        f"ended early because the budget of questions was spent: {spent}": sum(not r.complete for r in results),
        "did not check, as asked, whether further genes could be rewritten: signatures can be longer than need be": sum(
            r.complete and not r.maximal for r in several
        ),
        "used bisection, which changes many genes together and halves the groups that flip: "
        "genes whose effects cancel each other can hide": sum(r.search == "bisect" for r in single),
        "stopped at the first flip, as asked: one gene is shown, not all": sum(
            r.attack.first and bool(r.genes) for r in single
        ),
        f"were limited to some of the {genes_of_data:,} genes; nothing is known of the others": sum(
            size < genes_of_data for size in sizes
        ),
        "count only flips to a real cell type; a change to “unknown” and the like counts as held": sum(
            r.attack.change_type == "named" for r in results
        ),
        "draw their new values by chance, once (see the seed): another seed can give other genes": sum(
            isinstance(r.attack.modification, Random | Dropout | Thinning) for r in results
        ),
    }
    said = [f"{searches(grid, n)} {text}." for text, n in notes.items() if n]
    if refused := sum(r.counts["rejected"] for r in single):
        said.append(
            f"{count(refused, 'gene change')} {'was' if refused == 1 else 'were'} rejected: the classifier itself "
            "refused the input. They count neither as flipped nor as held."
        )
    baselines = {r.target: r for r in results}
    if unsure := [name for name, r in baselines.items() if not is_named(r.baseline)]:
        said.append(f"Even before any attack the classifier gives no cell type to {listed(unsure, 12)}.")
    labels = {label.casefold() for label in known}
    called = {name: r.baseline for name, r in baselines.items() if name.casefold() in labels and is_named(r.baseline)}
    if other := [f"{name} is called {label}" for name, label in called.items() if name.casefold() != label.casefold()]:
        said.append(
            f"{listed(other, 12)} before any attack: if the names should agree, check the values that the classifier "
            "was given."
        )
    if weak := [name for name, r in baselines.items() if r.baseline_share < 0.5]:
        said.append(
            f"Even before any attack fewer than half of the cells carry the label of {listed(weak, 12)}: it is "
            "only the most frequent one, and little is needed to tip it."
        )
    return said


def meaning(modification: Modification) -> str:
    """Return what a modification does to each cell of the cluster, in one sentence."""
    match modification:
        case Percentile(q):
            extreme = ": the gene is switched off" if q <= 5 else ": the gene is switched on" if q >= 95 else ""
            return f"Every cell gets percentile {q:g} of the gene, taken over all cells of the data set{extreme}."
        case Decile(n):
            where = "up" if n > 0 else "down"
            return f"Every cell moves by {abs(n):g} tenths of all cells {where} in the order of the gene’s values."
        case Aberrant(sign, factor, scope):
            of = "data set" if scope == "dataset" else scope
            times = f"{'minus ' if sign < 0 else ''}{factor:,g} times"
            return f"Every cell gets an impossible value: {times} the largest value of the {of}."
        case Random():
            return "Every cell gets a value drawn between the gene’s minimum and maximum."
        case Fixed(v):
            return f"Every cell gets the value {v:g}."
        case Dropout(rate):
            return f"Every cell loses the gene (value 0) with a probability of {rate:g}."
        case Thinning(depth):
            return f"Every count is thinned to a share of {depth:g} of the sequencing depth."
    return f"A function of the user’s own: {modification}."
