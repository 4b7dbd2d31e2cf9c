"""What single genes did to one classifier, in sentences: impossible values are told apart from those of cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, cast

from adverscarial.attacks import SingleGeneResult
from adverscarial.attacks.single_gene_result import cost_text
from adverscarial.modifications import Modification
from adverscarial.report.sections import AttackSection, Compared, Detail, Flip, describes, no_result
from adverscarial.report.sentences import count, listed
from adverscarial.surveys.grid import Entry, Grid


@describes("single-gene")
class SingleGeneSection(AttackSection[SingleGeneResult]):
    """Which single genes flip the label."""

    meaning: ClassVar[str] = (
        "Number of genes that flip the label of a cluster when they alone are changed in its cells. Under each "
        "cluster: what the classifier calls it before any attack, and the share of its cells with that label. "
        "Idle are genes that the classifier reads and whose values did not move, or moved against what was meant: they "
        "tell nothing."
    )
    noun: ClassVar[str] = "single-gene search"
    compared: ClassVar[Compared | None] = Compared(
        "flipped", "genes that flip the label alone", "withstands single genes best", "withstand single genes best"
    )

    def statements(self, grid: Grid) -> list[str]:  # noqa: D102
        return single_gene(grid)

    def cause(self, result: SingleGeneResult) -> str:  # noqa: D102
        genes, labels, shares = result.flips()
        equal = int(((shares == shares[0]) & (labels == labels[0])).sum())
        among = f", one of {equal:,} genes that do" if equal > 1 else ""
        return f"the gene {genes[0]} alone ({result.attack.changes_text}){among}"

    def brief(self, entries: Sequence[Entry], title: str) -> str:  # noqa: D102
        usual, odd = (
            sum(entry.value or 0 for entry in entries if entry.attack.impossible == wanted) for wanted in (False, True)
        )
        text = count(usual, "flip")
        return f"{text}, and {odd:,} at impossible values" if odd else text

    def detail(self, result: SingleGeneResult) -> Detail:  # noqa: D102
        genes, labels, shares = result.flips()
        grouped = set(result.gene[~result.alone].tolist())
        flips = [
            Flip(str(gene), str(label), float(share), gene not in grouped)
            for gene, label, share in zip(genes, labels, shares, strict=True)
        ]
        return Detail(_outcomes(result), flips)


_SEARCHES = SingleGeneSection().searches


def _outcomes(result: SingleGeneResult) -> str:
    """Return how many genes flipped, held and were rejected, and how they were tested."""
    if result.all_rejected:
        return f"all {count(result.n_rejected, 'change')} were rejected by the classifier: nothing was tested"
    counts = result.counts
    numbers = ", ".join(f"{n:,} {outcome}" for outcome, n in counts.items())
    text = f"{numbers}, of {count(result.n_genes, 'gene')}"
    if odd := result.not_as_meant:
        text += f"; {odd}"
    if result.search == "bisect":
        text += "; found by bisection, genes that cancel each other can hide"
    elif len(result.gene) < result.n_genes:
        text += f"; {len(result.gene):,} tested"
    else:
        text += "; every gene tested"
    if result.missed_by_bisect is not None:
        text += f"; bisection would have missed {len(result.missed_by_bisect):,}"
    if not result.complete:
        text += "; ended early, the budget was spent"
    near = [f"{row.gene} {cost_text(row.votes, row.lead)}" for row in result.nearest(3).itertuples()]
    return text + (f". Nearest without a flip: {'; '.join(near)}" if near else "")


def single_gene(grid: Grid) -> list[str]:
    """Return what single genes did to one classifier.

    A flip by a value that no cell can have says something of the input, not of the cell types. So these are counted
    apart, and what is said of clusters and genes rests on them only where nothing else flips anything.
    """
    odd = grid.impossible
    usual, impossible = grid.kept([h for h in grid.headings if h not in odd]), grid.kept(odd)
    if not odd:
        return [_found(grid), *_standing_out(grid)]
    said = [_found(usual, f"at {_values(usual)}")] if usual.headings else ["Only impossible values were tested."]
    said.append(_found(impossible, f"at impossible values ({_briefly(impossible)})"))
    if not _flips(impossible):
        return [*said, *_standing_out(usual)]
    said[-1] += " Check that your input holds no such values."
    if _flips(usual):
        return [*said, *_standing_out(usual, f"At {_values(usual)}: ")]
    return [*said, *_standing_out(impossible, "By impossible values alone: ")]


def _values(usual: Grid) -> str:
    """Return what the values are called that are not impossible by design; a fixed one, say, may be anything."""
    occur = all(_modification(entry).possible for entry in usual.entries.values())
    return "values that cells can have" if occur else "the other values"


def _briefly(impossible: Grid) -> str:
    """Return what the values are, for example ``100,000 and minus 100,000 times the largest value``."""
    values = dict.fromkeys(_modification(entry).brief for entry in impossible.entries.values())
    ending = " times the largest value"
    if all(value.endswith(ending) for value in values):
        return listed(value.removesuffix(ending) for value in values) + ending
    return listed(values)


def _modification(entry: Entry) -> Modification:
    (modification,) = entry.attack.changes
    return modification


def _results(grid: Grid) -> list[SingleGeneResult]:
    return [cast("SingleGeneResult", entry.result) for entry in grid.done]


def _flips(grid: Grid) -> int:
    return sum(grid.values)


def _found(grid: Grid, at: str = "") -> str:
    """Return how many attacks flipped; `at` says which values they had, where others are told apart from them."""
    results, flips, at = _results(grid), _flips(grid), at and f" {at}"
    if not results:
        return f"{_SEARCHES(len(grid.entries), len(grid.entries))}{at} {no_result(grid)}."
    if all(result.all_rejected for result in results):
        refused = count(sum(result.n_rejected for result in results), "change")
        return f"The classifier rejected all {refused}{at}: nothing was tested ({_size(grid, results)})."
    return _rejected_first(results) + _tested(grid, results, flips, at)


def _rejected_first(results: list[SingleGeneResult]) -> str:
    """Return which searches were rejected altogether, before anything is said of the others."""
    refused = sum(result.all_rejected for result in results)
    if not refused:
        return ""
    verb = "was" if refused == 1 else "were"
    return f"In {_SEARCHES(refused, len(results))} every change {verb} rejected, so nothing was tested there. "


def _tested(grid: Grid, results: list[SingleGeneResult], flips: int, at: str) -> str:
    """Return how many of the attacks flipped that were not rejected altogether."""
    size, marks = _size(grid, results), "".join(entry.marks for entry in grid.done)
    where = count(len({result.target for result in results}), "cluster")
    if not flips and marks:
        return f"No flip by a single gene{at} was found in {where} ({size}), but not every gene was tested alone."
    if not flips:
        chosen = any(result.attack.genes is not None or len(result.attack.exclude) for result in results)
        nothing = "None of the chosen genes alone" if chosen else "No single gene"
        flipped = "the 1 cluster" if where == "1 cluster" else f"any of the {where}"
        refused = sum(result.n_rejected for result in results)
        every = f"{refused:,} changes rejected, all others tested" if refused else "every gene tested"
        return f"{nothing}{at} flips {flipped} ({size}, {every}).{_idle(results)}"
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
    return f"{flips:,} of {tested}{at} {flip} a label, by {genes} ({size}, every gene tested).{_apart(grid)}"


def _apart(grid: Grid) -> str:
    """Return how many of the flips are in clusters that belong in no headline."""
    sums = {name: sum(e.value or 0 for e in grid.done if e.cluster == name) for name in grid.clusters}
    odd = {name: n for name, n in sums.items() if name in grid.apart and n}
    if not odd:
        return ""
    n = sum(odd.values())
    them = "All of them are" if n == sum(sums.values()) > 1 else f"Of these, {n:,} {'is' if n == 1 else 'are'}"
    return f" {them} in {listed(odd)}, which the verdicts set apart."


def _idle(results: list[SingleGeneResult]) -> str:
    """Return how many genes did not move, or moved against the intent, where nothing flipped."""
    still, against = sum(result.n_unchanged for result in results), sum(result.n_opposite for result in results)
    told = [f"{count(still, 'change')} moved no cell’s value"] if still else []
    told += [f"{count(against, 'change')} moved the gene against the intent"] if against else []
    return f" Of these, {' and '.join(told)}." if told else ""


def _standing_out(grid: Grid, which: str = "") -> list[str]:
    """Return which clusters, modifications and genes stand out, where any gene flips; `which` leads every sentence.

    Clusters that belong in no headline are left out.
    """
    grid = grid.kept(clusters=[name for name in grid.clusters if name not in grid.apart])
    if not _flips(grid):
        return []
    return [f"{which}{s[0].lower() + s[1:] if which else s}" for s in (*_ranking(grid), *_widest(grid))]


def _size(grid: Grid, results: list[SingleGeneResult]) -> str:
    """Return the size of the experiment: genes x clusters x modifications."""
    few, many = min(result.n_genes for result in results), max(result.n_genes for result in results)
    genes = count(many, "gene") if few == many else f"{few:,} to {many:,} genes"
    different = len({result.attack.changes_text for result in results})
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
        be = "cluster is" if sum(n == most for n in clusters.values()) == 1 else "clusters are"
        said.append(f"{the} most exposed {be} {exposed} ({count(most, 'flip')}), the safest {safest} ({least:,}).")
    by_modification = _complete_sums({h: [grid.get(c, h) for c in grid.clusters] for h in grid.headings})
    if len(by_modification) > 1:
        order = sorted(by_modification.items(), key=lambda pair: -pair[1])
        made = ", ".join(f"{name} makes {count(n, 'flip')}" for name, n in order)
        said.append(f"Of the modifications, {made}.")
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
