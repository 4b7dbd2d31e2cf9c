"""The report: what it says, that it says no more than was tested, and that it is one safe, well-made file."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import Attack, MaxChange, SingleGene
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_stored_survey_gives_the_same_report(toy, tmp_path):
    survey = toy_survey(toy, SingleGene("perc1"), MaxChange("perc1", restarts=2), out=tmp_path / "run")
    again = adv.Survey.load(tmp_path / "run")
    first, second = survey.report(tmp_path / "a.html"), again.report(str(tmp_path / "b.html"))
    assert isinstance(second, Path)
    assert first.read_text() == second.read_text()


@pytest.mark.slow
def test_an_older_report_is_replaced_and_nothing_is_left_behind(toy, tmp_path):
    survey = toy_survey(toy, SingleGene("perc1"))
    path = tmp_path / "new folder" / "report.html"
    assert write_report(survey, path) == path
    path.write_text("old")
    write_report(survey, path, title="Mine")
    assert "<h1>Mine</h1>" in path.read_text()
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


@pytest.mark.slow
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


@pytest.mark.slow
def test_large_surveys_stay_small_files(toy, tmp_path, monkeypatch):
    def anything(X: np.ndarray) -> np.ndarray:
        return np.where((X > 50).any(axis=1), "odd", "A")

    monkeypatch.setattr(clusters, "ROWS", 8)
    monkeypatch.setattr(clusters, "NAMES", 4)
    path = write_report(toy_survey(toy, SingleGene("fixed:99", search="exact"), model=anything), tmp_path / "r.html")
    text = Page(path.read_text()).text
    assert "The strongest flips of every attack have a row, 8 of 24" in text
    assert text.count("8 more genes with a weaker flip, names only; 6 of them are not listed in this report") == 2
