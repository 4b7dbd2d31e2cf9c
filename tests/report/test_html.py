"""The report: what it says, that it says no more than was tested, and that it is one safe, well-made file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import Attack, MaxChange, Result, SingleGene
from adverscarial.errors import ParameterError, StorageError
from adverscarial.report import clusters, write_report
from adverscarial.report.sentences import percent
from adverscarial.surveys.grid import luminance

VOID = {"meta", "link", "input", "wbr", "br", "img"}
TARGETS = ["CD19+ B", "Dendritic", "CD4+/CD25 T Reg"]


class Page(HTMLParser):
    """A page, read back: its text, its tags, and its tables as rows of (tag, text)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[tuple[str, list[list[str]]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self._cell: list[str] | None = None
        self.feed(text)
        self.close()
        assert self._open == [], "a tag was left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in VOID:
            return
        self._open.append(tag)
        if tag == "table":
            self.tables.append(("", []))
        elif tag == "tr":
            self.tables[-1][1].append([])
        elif tag in ("td", "th", "caption"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another tag"
        if tag in ("td", "th"):
            self.tables[-1][1][-1].append("".join(self._cell or []).strip())
        if tag == "caption":
            self.tables[-1] = ("".join(self._cell or []), self.tables[-1][1])
        if tag in ("td", "th", "caption"):
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("style", "script"):
            return
        self.words.append(data)
        if self._cell is not None:
            # small print of a cell stands on its own line
            self._cell.append(f"\n{data}" if self._open[-1] == "small" else data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def table(self, caption: str) -> list[list[str]]:
        (rows,) = [rows for found, rows in self.tables if found == caption]
        return rows

    def cell(self, caption: str, cluster: str, heading: str) -> str:
        head, *body = self.table(caption)
        (row,) = [row for row in body if row[0].split("\n")[0] == cluster]
        return row[[text.split("\n")[0] for text in head].index(heading)]  # what it means stands below


def page_of(survey: adv.Survey, folder: Path, **options: str) -> Page:
    return Page(write_report(survey, folder / "report.html", **options).read_text())


@pytest.fixture
def toy() -> AnnData:
    """Two clusters of 20 cells; gene ``g0`` is high in ``left``, ``g1`` in ``right``."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 0.4, (40, 12))
    X[:20, 0] += 1
    X[20:, 1] += 1
    obs = pd.DataFrame({"group": ["left"] * 20 + ["right"] * 20}, index=[f"c{i}" for i in range(40)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(12)]))


def by_two_genes(X: np.ndarray) -> np.ndarray:
    return np.where(X[:, 0] > 0.5, "A", np.where(X[:, 1] > 0.5, "B", "unknown"))


def deaf(X: np.ndarray) -> np.ndarray:
    return np.full(len(X), "A")


def toy_survey(toy: AnnData, *attacks: Attack, model: object = by_two_genes, **options: object) -> adv.Survey:
    return adv.survey(toy, model, attacks=attacks, groupby="group", **options)


@pytest.fixture(scope="module")
def real(pbmc_small: AnnData) -> adv.Survey:
    attacks = [*map(SingleGene, ("perc99", "positive_aberrant")), MaxChange("perc99", restarts=1)]
    models = {"scType": adv.classifiers.ScType(scaled=False), "deaf": deaf}
    return adv.survey(pbmc_small, models, attacks=attacks, groupby="cell_type", targets=TARGETS)


@pytest.fixture(scope="module")
def real_text(real: adv.Survey, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(real, tmp_path_factory.mktemp("report") / "report.html").read_text()


def test_tables_agree_with_the_frame(real, real_text):
    page, seen = Page(real_text), 0
    assert real.to_frame()["flipped"].sum() > 0  # else nothing would be compared
    for row in real.to_frame().itertuples():
        single = row.attack == "SingleGene"
        what = "single genes that flip the label" if single else "signature: genes that must not change"
        shown = page.cell(f"{row.classifier}: {what}", row.cluster, row.modification)
        assert shown.rstrip("†") == f"{row.flipped if single else row.signature:,}"
        # a function is searched by bisection, scType exactly
        assert shown.endswith("†") == (single and row.classifier == "deaf")
        seen += 1
    assert seen == 18


def test_every_flipping_gene_is_listed_with_label_and_share(real, real_text):
    page, listed = Page(real_text), []
    caption = re.compile(r"(.+), (.+): flipping genes, with the new label and the share of cells that carry it")
    for title, rows in page.tables:
        if match := caption.fullmatch(title):
            listed += [(*match.groups(), *row[:3]) for row in rows[1:]]
    flips = real.flipping()
    wanted = flips[["classifier", "cluster", "gene", "modification", "label"]].itertuples(index=False, name=None)
    assert sorted(listed) == sorted(wanted)
    shares = re.findall(r'data-v="(\d\.\d{6})"', real_text)
    assert sorted(map(float, shares)) == pytest.approx(sorted(flips["share"]), abs=1e-6)


def test_baselines_signatures_and_costs_are_told(real, real_text):
    text = Page(real_text).text
    for task, result in zip(real.tasks, real.results, strict=True):
        assert f"called {result.baseline} ({percent(result.baseline_share)} of {result.n_cells} cells)" in text
        if isinstance(task.attack, MaxChange):
            n = len(result.genes)
            assert f"{task.attack.modification}: {n} of 765 genes can be rewritten at once" in text
            for gene in result.signature:
                assert f"<li>{gene}</li>" in real_text
    assert f"{sum(r.queries for r in real.results):,}, each a classification" in text
    assert f"{sum(r.proven for r in real.results):,} times a gene" in text
    for fact in (
        real.plan["data"]["fingerprint"],
        "700 cells × 765 genes, layer X",
        "SingleGene(Percentile(99))",
        "no limit",
    ):
        assert fact in text
    for name, version in real.plan["versions"].items():
        assert f"{name} {version}" in text


def test_a_report_says_that_nothing_flips(toy, tmp_path):
    attacks = [SingleGene(name, search="exact") for name in ("perc1", "perc99", "fixed:0")]
    text = page_of(toy_survey(toy, *attacks, model=deaf), tmp_path).text
    assert (
        "No single gene flips any of the 2 clusters (12 genes × 2 clusters × 3 modifications, every gene tested)."
        in text
    )
    assert "To keep in mind" not in text


def test_flips_are_counted_and_ranked(toy, tmp_path):
    # left (A): only g0 switched off flips; right (B): g1 off, or g0 on
    survey = toy_survey(toy, SingleGene("perc1", search="exact"), SingleGene("fixed:1", search="exact"))
    assert survey.to_frame()["flipped"].tolist() == [1, 0, 1, 1]
    text = page_of(survey, tmp_path).text
    assert (
        "3 of 48 single-gene attacks flip a label, by 2 different genes (12 genes × 2 clusters × 2 modifications"
        in text
    )
    assert "The most exposed cluster is right (2 flips), the safest left (1)." in text
    assert "Flips by modification: perc1 2, fixed:1 1." in text
    assert "1 gene flips all 2 clusters, by one modification or another: g0." in text


def test_only_completely_tested_clusters_and_modifications_are_compared(toy, tmp_path):
    toy.obs.loc["c30":, "group"] = "third"
    attacks = [SingleGene(name, search="exact") for name in ("perc1", "fixed:1")]
    survey = toy_survey(toy, *attacks)
    bounded = toy_survey(toy, *attacks, budget=5)
    assert "The most exposed cluster is" in page_of(survey, tmp_path).text
    # clusters: left, right, third; the first search of "third" becomes one that its budget ended
    mixed = adv.Survey(survey.plan, survey.tasks, (*survey.results[:4], bounded.results[4], survey.results[5]), {})
    text = page_of(mixed, tmp_path).text
    assert "Of the 2 of 3 clusters that were tested completely, the most exposed cluster is right (2 flips)" in text
    assert "Flips by modification" not in text  # one of the two is not complete
    assert "not every gene was tested alone, so there can be more" in text
    text = page_of(bounded, tmp_path).text
    assert "most exposed" not in text


def test_the_signature_is_told(toy, tmp_path):
    text = page_of(toy_survey(toy, MaxChange("perc1", restarts=1)), tmp_path).text
    assert (
        "The label of cluster left holds while 11 of 12 genes are rewritten at once (perc1); 1 gene carries it" in text
    )
    assert "Rewriting any one of the remaining 1 as well would flip it" in text
    text = page_of(toy_survey(toy, MaxChange("perc1", restarts=1), model=deaf), tmp_path).text
    assert "In 2 of 2 signature searches no gene has to stay; for example, the label of cluster left holds" in text
    assert "while all 12 genes are rewritten at once" in text


def test_a_bisection_never_claims_that_every_gene_was_tested(toy, tmp_path):
    for model in (by_two_genes, deaf):
        page = page_of(toy_survey(toy, SingleGene("perc1", search="bisect", bins=2), model=model), tmp_path)
        assert "genes whose effects cancel each other can hide" in page.text
        assert "every gene tested" not in page.text
        assert page.cell(f"{model.__name__}: single genes that flip the label", "left", "perc1").endswith("†")
    assert "No flip by a single gene was found" in page.text


def test_groups_are_not_called_single_genes(toy, tmp_path):
    attack = SingleGene("perc1", search="bisect", bins=2, max_split_size=3)
    page = page_of(toy_survey(toy, attack), tmp_path)
    assert page.cell("by_two_genes: single genes that flip the label", "left", "perc1") == "3†‡"
    assert "some only together, as a group" in page.text
    assert "‡ includes genes that were only changed together, as a group." in page.text


def test_a_spent_budget_is_told(toy, tmp_path):
    attacks = (SingleGene("perc1", search="exact"), MaxChange("perc1"))
    page = page_of(toy_survey(toy, *attacks, budget=3), tmp_path)
    assert "2 of 2 single-gene searches ended early because the budget of queries was spent" in page.text
    assert "2 of 2 signature searches ended early because the budget of queries was spent" in page.text
    assert "3 queries per attack" in page.text
    assert "every gene tested" not in page.text
    assert page.cell("by_two_genes: single genes that flip the label", "left", "perc1") == "1†"
    assert page.cell("by_two_genes: signature: genes that must not change", "left", "perc1").endswith("†")
    assert "it (signature)" not in page.text
    assert "though fewer may do" in page.text


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (SingleGene("perc1", search="exact", first=True), "stopped at the first flip, as asked"),
        (SingleGene("perc1", search="exact", genes=["g0", "g5"]), "limited to some of the 12 genes"),
        (SingleGene("perc1", search="exact", change_type="named"), "count only flips to a real cell type"),
        (SingleGene("random", search="exact"), "another seed can give other genes"),
        (MaxChange("perc1", restarts=1, maximal=False), "did not check, as asked"),
    ],
    ids=repr,
)
def test_what_limits_a_search_is_told(toy, tmp_path, attack, words):
    assert words in page_of(toy_survey(toy, attack), tmp_path).text
    usual = type(attack)("perc1", **({"search": "exact"} if isinstance(attack, SingleGene) else {"restarts": 1}))
    assert words not in page_of(toy_survey(toy, usual), tmp_path).text


def test_rejected_genes_are_counted_apart(toy, tmp_path):
    def strict(X: np.ndarray) -> np.ndarray:
        if X.max() > 100:
            raise ValueError("out of range")
        return by_two_genes(X)

    page = page_of(toy_survey(toy, SingleGene("positive_aberrant", search="exact"), model=strict), tmp_path)
    assert "24 gene changes were rejected" in page.text
    shown = page.cell("strict: single genes that flip the label", "left", "positive_aberrant")
    assert shown == "0\n12 rejected"


def test_weak_and_missing_baselines_are_told(toy, tmp_path):
    def unsure(X: np.ndarray) -> np.ndarray:
        third = np.array(["A", "B", "C"])[np.arange(len(X)) % 3]
        return np.where(X[:, 0] > 0.5, third, "Unassigned")

    text = page_of(toy_survey(toy, SingleGene("perc1", search="exact"), model=unsure), tmp_path).text
    assert "gives no cell type to right." in text
    assert "fewer than half of the cells carry the label of left:" in text


def test_failures_are_shown_and_nothing_is_claimed_there(toy, tmp_path):
    def broken(X: np.ndarray) -> np.ndarray:
        if X[:, 1].min() > 0.5:  # asked about cells of ``right`` alone
            raise RuntimeError("no licence for <right>")
        return by_two_genes(X)

    survey = toy_survey(toy, SingleGene("perc1", search="exact"), MaxChange("perc1", restarts=1), model=broken)
    assert len(survey.errors) == 2
    page = page_of(survey, tmp_path)
    assert "2 of 4 attacks failed." in page.text
    assert page.cell("broken: single genes that flip the label", "right", "perc1") == "failed"
    assert page.cell("broken: signature: genes that must not change", "right", "perc1") == "failed"
    assert page.text.count("no licence for <right>") >= 4  # under both tables, and at the cluster
    assert "1 of 2 single-gene searches failed, so nothing is known there" in page.text
    assert "12 genes × 2 clusters × 1 modification, without 1 that failed" in page.text


def test_a_report_of_failures_says_so(toy, tmp_path):
    def silent(X: np.ndarray) -> np.ndarray:
        raise RuntimeError("gone")

    page = page_of(toy_survey(toy, SingleGene("perc1"), MaxChange("perc1"), model=silent), tmp_path)
    assert "2 of 2 single-gene searches failed." in page.text
    assert "2 of 2 signature searches failed." in page.text
    assert "no answer" in page.text


class Shrugged(Result):
    """What it says it found."""

    genes: ClassVar[list[str]] = []

    def to_frame(self):
        return pd.DataFrame()


@dataclass(frozen=True, repr=False)
class Shrug(Attack[Shrugged]):
    """An attack that the report knows nothing about."""

    modification = None
    question = cost = ""

    def perform(self, run):
        return Shrugged(**run.shared(label="B<", share=0.75, complete=False))


def test_an_attack_without_a_table_of_its_own_is_shown_too(toy, tmp_path):
    page = page_of(toy_survey(toy, Shrug()), tmp_path)
    rows = page.table("Shrug: what was found")
    assert rows[1] == ["by_two_genes", "left", "A (100%)", "B< (75%)", "flipped; ended early", "3"]
    assert len(rows) == 3


def test_data_are_escaped(toy, tmp_path):
    evil, quotes = "<script>alert(1)</script>", 'it\'s "a" <b>&amp;{{ 7*7 }}'
    toy.obs["group"] = toy.obs["group"].map({"left": evil, "right": quotes})
    toy.var_names = [f"{quotes}\"'>{name}" for name in toy.var_names]

    def trap(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] > 0.5, "<img src=x onerror=alert(2)>", 'B"')

    survey = adv.survey(
        toy,
        {"<i>trap</i>": trap},
        attacks=[SingleGene("perc1", search="exact"), MaxChange("perc1", restarts=1)],
        groupby="group",
    )
    path = write_report(survey, tmp_path / "report.html", title="</title><b>bold")
    text, page = path.read_text(), Page(path.read_text())
    assert text.count("<script>") == 1  # ours
    assert "<img src=x" not in text
    assert "<i>trap" not in text
    assert "<title>&lt;/title&gt;&lt;b&gt;bold</title>" in text
    assert not [tag for tag, _ in page.tags if tag == "i"]
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert pictures
    assert all(set(attributes) == {"src", "alt", "width"} for attributes in pictures)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert {quotes, evil} <= {
        row[0].split("\n")[0] for row in page.table("<i>trap</i>: single genes that flip the label")
    }
    assert f"{quotes}\"'>g0" in [row[0] for caption, rows in page.tables if "flipping genes" in caption for row in rows]
    assert "<img src=x onerror=alert(2)>" in page.text


def test_the_file_needs_nothing_else(real_text):
    assert not re.search(r"https?:|@import|url\(|\beval\b|fetch\(|XMLHttp|import\(", real_text)
    sources = [attributes["src"] for tag, attributes in Page(real_text).tags if "src" in attributes]
    assert sources
    assert all(source.startswith(("data:image/svg+xml;base64,", "data:image/png;base64,")) for source in sources)
    links = [attributes for tag, attributes in Page(real_text).tags if tag == "link"]
    assert links == [{"rel": "icon", "href": "data:,"}]
    assert "default-src 'none'" in real_text  # and the browser would refuse
    assert "/home/" not in real_text


def test_structure_for_readers_and_screen_readers(real_text):
    page = Page(real_text)
    assert page.tags[0] == ("html", {"lang": "en"})
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in page.tags if tag == "th")
    assert all(caption for caption, _ in page.tables)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [str(attributes["href"]) for tag, attributes in page.tags if tag == "a" and "download" not in attributes]
    assert targets
    assert {target.removeprefix("#") for target in targets} <= set(ids)
    boxes = [attributes for _, attributes in page.tags if "scroll" in str(attributes.get("class", "")).split()]
    assert boxes
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)  # the keyboard can scroll them
    assert ("label", {"for": "gene"}) in page.tags


def test_colours_of_the_tables_are_readable(real_text):
    painted = set(re.findall(r'style="background:(#\w{6});color:(#\w{6})"', real_text))
    assert len(painted) > 3
    assert all(contrast(background, ink) >= 4.5 for background, ink in painted)


def test_long_lists_are_cut_to_names_and_lose_none(toy, tmp_path, monkeypatch):
    def anything(X: np.ndarray) -> np.ndarray:
        return np.where((X > 50).any(axis=1), "odd", "A")

    survey = toy_survey(toy, SingleGene("fixed:99", search="exact"), model=anything)
    monkeypatch.setattr(clusters, "_MOST", 5)
    path = write_report(survey, tmp_path / "report.html")
    page = Page(path.read_text())
    rows = [row for caption, rows in page.tables if "left: flipping genes" in caption for row in rows[1:]]
    names = re.findall(r"<li>(g\d+)</li>", path.read_text())
    assert len(rows) == 5
    assert sorted([row[0] for row in rows] + names[:7]) == sorted(toy.var_names)
    assert "fixed:99: 7 more genes with a weaker flip, names only" in page.text


def test_the_same_modification_twice_gets_two_columns(toy, tmp_path):
    attacks = (SingleGene("perc1", search="exact"), SingleGene("perc1", search="exact", change_type="named"))
    page = page_of(toy_survey(toy, *attacks), tmp_path)
    head = page.table("by_two_genes: single genes that flip the label")[0]
    assert head == [
        "Cluster", "perc1 (search=exact)\nswitched off", "perc1 (search=exact, change_type=named)\nswitched off",
    ]  # fmt: skip
    # g0 switched off makes "left" unknown, which is no named type
    shown = [
        page.cell("by_two_genes: single genes that flip the label", "left", text.split("\n")[0]) for text in head[1:]
    ]
    assert shown == ["1", "0"]


def test_a_stored_survey_gives_the_same_report(toy, tmp_path):
    survey = toy_survey(toy, SingleGene("perc1"), MaxChange("perc1", restarts=2), out=tmp_path / "run")
    again = adv.Survey.load(tmp_path / "run")
    first, second = survey.report(tmp_path / "a.html"), again.report(str(tmp_path / "b.html"))
    assert isinstance(second, Path)
    assert first.read_text() == second.read_text()


def test_an_older_report_is_replaced_and_nothing_is_left_behind(toy, tmp_path):
    survey = toy_survey(toy, SingleGene("perc1"))
    path = tmp_path / "new folder" / "report.html"
    assert write_report(survey, path) == path
    path.write_text("old")
    write_report(survey, path, title="Mine")
    assert "<h1>Mine</h1>" in path.read_text()
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_bad_input_is_refused_in_words(toy, tmp_path):
    survey = toy_survey(toy, SingleGene("perc1"))
    with pytest.raises(ParameterError, match="needs a Survey, got dict"):
        write_report(json.loads("{}"), tmp_path / "report.html")
    with pytest.raises(StorageError, match="cannot be written"):
        write_report(survey, tmp_path)


def test_the_palette_is_readable_in_light_and_dark():
    style = files("adverscarial.report").joinpath("assets/style.css").read_text()
    light, dark, paper = (
        dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)
    )
    pairs = [(ink, ground) for ink in ("ink", "soft", "link") for ground in ("page", "panel")] + [("warn-ink", "warn")]
    for palette in (light, dark, paper):
        for ink, ground in pairs:
            assert contrast(palette[ink], palette[ground]) >= 4.5, (ink, ground)


def contrast(one: str, other: str) -> float:
    dark, light = sorted(map(luminance, (_long(one), _long(other))))
    return (light + 0.05) / (dark + 0.05)


def _long(colour: str) -> str:
    """Return ``#abc`` as ``#aabbcc``."""
    return colour if len(colour) == 7 else "#" + "".join(2 * letter for letter in colour[1:])


def test_large_surveys_stay_small_files(toy, tmp_path, monkeypatch):
    def anything(X: np.ndarray) -> np.ndarray:
        return np.where((X > 50).any(axis=1), "odd", "A")

    monkeypatch.setattr(clusters, "ROWS", 8)
    monkeypatch.setattr(clusters, "NAMES", 4)
    path = write_report(toy_survey(toy, SingleGene("fixed:99", search="exact"), model=anything), tmp_path / "r.html")
    text = Page(path.read_text()).text
    assert "The strongest flips of every attack have a row, 8 of 24" in text
    assert text.count("8 more genes with a weaker flip, names only; 6 of them are not listed in this report") == 2
