"""What single genes did to one classifier, in sentences: impossible values are told apart from those of cells."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from adverscarial.attacks import SingleGene, SingleGeneResult
from adverscarial.modifications import Aberrant, Decile, Dropout, Modification, Percentile, Random, Thinning, parse
from adverscarial.report.grid import Entry, Grid
from adverscarial.report.words import count, listed, searches

_OCCUR = (Percentile, Decile, Random, Dropout, Thinning)  # these stay within what the data hold


def single_gene(grid: Grid) -> list[str]:
    """Return what single genes did to one classifier.

    A flip by a value that no cell can have says something of the input, not of the cell types. So these are counted
    apart, and what is said of clusters and genes rests on them only where nothing else flips anything.
    """
    odd = {entry.heading for entry in grid.entries.values() if isinstance(_modification(entry), Aberrant)}
    usual, impossible = (_part(grid, [h for h in grid.headings if (h in odd) == wanted]) for wanted in (False, True))
    if not odd:
        return [_found(grid), *_standing_out(grid)]
    said = [_found(usual, f"at {_values(usual)}")] if usual.headings else ["Only impossible values were tested."]
    said.append(_found(impossible, f"at impossible values ({_times(impossible)} the largest value)"))
    if not _flips(impossible):
        return [*said, *_standing_out(usual)]
    said[-1] += " Check that your input holds no such values."
    if _flips(usual):
        return [*said, *_standing_out(usual, f"At {_values(usual)}: ")]
    return [*said, *_standing_out(impossible, "By impossible values alone: ")]


def _part(grid: Grid, headings: list[str]) -> Grid:
    """Return some columns of a grid."""
    entries = {key: entry for key, entry in grid.entries.items() if entry.heading in headings}
    return replace(grid, headings=tuple(headings), entries=entries)


def _values(usual: Grid) -> str:
    """Return what the values are called that are not impossible by design; a fixed one, say, may be anything."""
    occur = all(isinstance(_modification(entry), _OCCUR) for entry in usual.entries.values())
    return "values that cells can have" if occur else "the other values"


def _times(impossible: Grid) -> str:
    """Return, for example, ``100,000 and minus 100,000 times``."""
    used = [m for m in map(_modification, impossible.entries.values()) if isinstance(m, Aberrant)]
    return f"{listed(dict.fromkeys(('minus ' if m.sign < 0 else '') + f'{m.factor:,g}' for m in used))} times"


def _modification(entry: Entry) -> Modification:
    assert isinstance(entry.attack, SingleGene)
    return parse(entry.attack.modification)


def _results(grid: Grid) -> list[SingleGeneResult]:
    return [entry.result for entry in grid.done if isinstance(entry.result, SingleGeneResult)]


def _flips(grid: Grid) -> int:
    return sum(result.counts["flipped"] for result in _results(grid))


def _found(grid: Grid, at: str = "") -> str:
    """Return how many attacks flipped; `at` says which values they had, where others are told apart from them."""
    results, flips, at = _results(grid), _flips(grid), at and f" {at}"
    if not results:
        return f"{searches(grid, len(grid.entries))}{at} failed."
    size, marks = _size(grid, results), "".join(entry.marks for entry in grid.done)
    where = count(len({result.target for result in results}), "cluster")
    if not flips and marks:
        return f"No flip by a single gene{at} was found in {where} ({size}), but not every gene was tested alone."
    if not flips:
        chosen = any(result.attack.genes is not None or len(result.attack.exclude) for result in results)
        nothing = "None of the chosen genes alone" if chosen else "No single gene"
        flipped = "the 1 cluster" if where == "1 cluster" else f"any of the {where}"
        return f"{nothing}{at} flips {flipped} ({size}, every gene tested)."
    genes = count(len({gene for result in results for gene in result.genes}), "different gene")
    if marks:
        how = (
            "some only together, as a group"
            if "‡" in marks
            else "not every gene was tested alone, so there can be more"
        )
        return f"{count(flips, 'flip')}{at} by {genes} found ({size}; {how})."
    tested = count(sum(len(result.gene) for result in results), "single-gene attack")
    flip = "flips" if flips == 1 else "flip"
    return f"{flips:,} of {tested}{at} {flip} a label, by {genes} ({size}, every gene tested)."


def _standing_out(grid: Grid, which: str = "") -> list[str]:
    """Return which clusters, modifications and genes stand out, where any gene flips; `which` leads every sentence."""
    if not _flips(grid):
        return []
    return [f"{which}{s[0].lower() + s[1:] if which else s}" for s in (*_ranking(grid), *_widest(grid))]


def _size(grid: Grid, results: list[SingleGeneResult]) -> str:
    """Return the size of the experiment: genes x clusters x modifications."""
    few, many = min(result.n_genes for result in results), max(result.n_genes for result in results)
    genes = count(many, "gene") if few == many else f"{few:,} to {many:,} genes"
    different = len({str(result.attack.modification) for result in results})
    noun = "modification" if different == len(grid.headings) else "attack"
    size = f"{genes} × {count(len(grid.clusters), 'cluster')} × {count(len(grid.headings), noun)}"
    return f"{size}, without {len(grid.failed):,} that failed" if grid.failed else size


def _ranking(grid: Grid) -> list[str]:
    """Return which clusters and which modifications stand out; only complete rows and columns are compared."""
    said = []
    clusters = _complete_sums({c: [grid.get(c, h) for h in grid.headings] for c in grid.clusters})
    if len(set(clusters.values())) > 1:
        the = "The"
        if len(clusters) < len(grid.clusters):
            the = f"Of the {len(clusters):,} of {count(len(grid.clusters), 'cluster')} that were tested completely, the"
        most, least = max(clusters.values()), min(clusters.values())
        exposed = listed(name for name, n in clusters.items() if n == most)
        safest = listed(name for name, n in clusters.items() if n == least)
        said.append(
            f"{the} most exposed cluster is {exposed} ({count(most, 'flip')}), the safest {safest} ({least:,})."
        )
    by_modification = _complete_sums({h: [grid.get(c, h) for c in grid.clusters] for h in grid.headings})
    if len(by_modification) > 1:
        order = sorted(by_modification.items(), key=lambda pair: -pair[1])
        said.append(f"Flips by modification: {', '.join(f'{name} {n:,}' for name, n in order)}.")
    return said


def _complete_sums(lines: dict[str, list[Entry | None]]) -> dict[str, int]:
    """Return the sum of each row or column that has all its values, none of them marked."""
    return {
        name: sum(entry.value or 0 for entry in line if entry)
        for name, line in lines.items()
        if all(entry is not None and entry.value is not None and not entry.marks for entry in line)
    }


def _widest(grid: Grid) -> list[str]:
    """Return which genes flip the most clusters, each by any modification."""
    spread: Counter[str] = Counter()
    for cluster in grid.clusters:
        spread.update({gene for e in grid.done if e.cluster == cluster and e.result for gene in e.result.genes})
    most = max(spread.values())
    if most == 1:
        return []
    genes = sorted(gene for gene, n in spread.items() if n == most)
    flip = f"{count(len(genes), 'gene')} {'flips' if len(genes) == 1 else 'flip'}"
    where = "all" if most == len(grid.clusters) else f"{most:,} of"
    return [f"{flip} {where} {len(grid.clusters):,} clusters, by one modification or another: {listed(genes, 6)}."]
