"""The report in a real browser, from a file: no errors, no network, sorting, search, downloads, layout, print."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import adverscarial as adv
from adverscarial.report import write_report
from adverscarial.report.tables import csv

pytestmark = pytest.mark.slow

sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
PATIENCE = 600_000  # milliseconds for one step of the browser, however busy the machine is
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    """Chromium; it must be there where CI says that nothing may be skipped."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        reason = "there is no Chromium on the PATH; on Debian and Ubuntu: apt-get install chromium"
        if os.environ.get("ADVERSCARIAL_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    sync_api.expect.set_options(timeout=PATIENCE)
    with sync_api.sync_playwright() as playwright:
        # its profile is new and empty
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=PATIENCE)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def file(everything, cells, models, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("browser") / "report.html"
    return write_report(everything, path, adata=cells, classifiers=models)


@pytest.fixture
def page(browser, file) -> Iterator[sync_api.Page]:
    """The report, opened; at the end of a test nothing may have gone wrong or been asked of a network."""
    wrong: list[str] = []
    context = browser.new_context(accept_downloads=True, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    opened.on("console", lambda message: wrong.append(f"console: {message.text}"))
    opened.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    opened.on("request", lambda request: wrong.append(f"request: {request.url[:80]}") if _leaves(request.url) else None)
    opened.goto(file.as_uri())
    yield opened
    context.close()
    assert wrong == []


def _leaves(url: str) -> bool:
    return not url.startswith(("data:", "file:"))


def first_column(table: sync_api.Locator, column: int) -> list[str]:
    return table.locator(f"tbody tr > :nth-child({column})").all_inner_texts()


def test_it_loads_with_all_its_figures(page):
    assert page.title() == "How easily can the cell-type labels be flipped?"
    widths = page.evaluate("Promise.all([...document.images].map(async (i) => (await i.decode(), i.naturalWidth)))")
    assert len(widths) >= 8
    assert min(widths) > 100


def test_a_page_that_is_wrong_would_be_noticed(browser, file, tmp_path):
    broken = tmp_path / "broken.html"
    broken.write_text(file.read_text().replace('"use strict";', '"use strict"; console.error("no"); nothing();'))
    messages: list[str] = []
    opened = browser.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.on("console", lambda message: messages.append(message.text))
    opened.on("pageerror", lambda error: messages.append(str(error)))
    opened.goto(broken.as_uri())
    opened.close()
    assert "no" in messages
    assert "nothing is not defined" in messages


@pytest.mark.parametrize("how", ["click", "Enter", "Space"])
def test_headings_sort_numbers_as_numbers(page, how):
    table = page.locator("#a-cgd table")
    heading = table.get_by_role("columnheader", name="Genes tested")
    position = table.locator("thead th").all_inner_texts().index(heading.inner_text()) + 1
    assert first_column(table, position) == ["1", "2", "12", "12"]
    for state in ("ascending", "descending"):
        if how == "click":
            heading.get_by_role("button").click()
        else:
            heading.get_by_role("button").focus()
            page.keyboard.press(how)
        assert heading.get_attribute("aria-sort") == state
        shown = first_column(table, position)
        assert shown == (["1", "2", "12", "12"] if state == "ascending" else ["12", "12", "2", "1"])
    table.get_by_role("columnheader", name="Cluster").get_by_role("button").click()
    assert heading.get_attribute("aria-sort") is None
    assert first_column(table, 2) == ["left", "left", "right", "right"]


def test_coloured_tables_sort_too(page):
    table = page.locator("#single-gene .heat").first
    for expected in (["left", "right"], ["right", "left"]):
        table.get_by_role("columnheader", name="Cluster").get_by_role("button").click()
        assert [text.split("\n")[0] for text in first_column(table, 1)] == expected


def test_the_search_filters_and_counts(page, everything):
    flips = everything.flipping()
    page.get_by_label("Find a gene").fill("G1")
    found = page.locator("#found")
    expected = flips["gene"].str.contains("g1", regex=False).sum()
    assert expected > 0
    found.filter(has_text=re.compile(rf"“G1”: {expected} flips")).wait_for()
    rows = page.locator(".genes tbody tr:visible")
    assert rows.count() == expected
    assert all(text.startswith("g1") for text in rows.all_inner_texts())
    page.get_by_label("Find a gene").fill("CD3E")
    found.filter(has_text="No gene with “CD3E” in its name is listed").wait_for()
    assert rows.count() == 0
    page.get_by_label("Find a gene").fill("")
    page.get_by_role("button", name="Open all").click()
    sync_api.expect(rows).to_have_count(len(flips))


def test_tables_are_downloaded_as_they_are(page, everything):
    frames = {"survey.csv": everything.to_frame(), "flipping_genes.csv": everything.flipping()}
    for name, frame in frames.items():
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        assert download.value.suggested_filename == name
        text = Path(download.value.path()).read_text()
        read = pd.read_csv(io.StringIO(text), keep_default_na=False, dtype=str)
        wanted = pd.read_csv(io.StringIO(frame.to_csv(index=False)), keep_default_na=False, dtype=str)
        if "gene" in wanted:
            assert "'=SUM(1)" in set(read["gene"])
            read["gene"] = read["gene"].str.removeprefix("'")
        pd.testing.assert_frame_equal(read, wanted)
        assert text == csv(frame)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_never_wider_than_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 844})
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_letters_of_figures_can_be_read_on_a_phone(page):
    """The smallest are drawn 6 points high in figures of 89 to 183 mm."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    shown = page.evaluate("[...document.images].map((i) => [i.clientWidth, Number(i.getAttribute('width'))])")
    for width, drawn in shown:
        inches = drawn / 1.35 / 96
        assert width / inches * 6 / 72 > 6, (width, drawn)  # CSS pixels


def test_contents_stay_in_sight_and_lead_to_their_section(page):
    page.set_viewport_size({"width": 390, "height": 844})
    contents = page.get_by_role("navigation", name="Contents")
    contents.get_by_role("link", name="How it was made").click()
    box, heading = contents.bounding_box(), page.locator("#h-made").bounding_box()
    assert abs(box["y"]) < 1
    assert heading["y"] >= box["y"] + box["height"]  # not hidden below it


def test_on_a_wide_screen_the_contents_are_seen_whole(page):
    shown, needed = page.evaluate(
        "(({ clientWidth, scrollWidth }) => [clientWidth, scrollWidth])(document.querySelector('nav ul'))"
    )
    assert needed <= shown
    contents = page.get_by_role("navigation", name="Contents")
    contents.get_by_role("link", name="Terms").click()
    assert page.locator("#h-terms").bounding_box()["y"] >= contents.bounding_box()["height"]


def test_the_keyboard_skips_to_the_verdict(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#verdict"


def test_a_verdict_leads_to_its_reason(page):
    page.locator(".matrix a.verdict").last.click()
    assert page.evaluate("document.querySelector(location.hash).closest('details').open")


def test_the_verdicts_are_seen_without_scrolling(page):
    box = page.locator("#verdict .matrix").bounding_box()
    assert box["y"] + box["height"] < 900


def test_the_verdicts_of_five_classifiers_fit_a_phone(browser, cells, models, tmp_path):
    five = {f"model{n}": models["firm" if n else "soft"] for n in range(5)}
    survey = adv.survey(cells, five, attacks=adv.attacks.SingleGene("perc1"), groupby="group")
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    opened.goto(write_report(survey, tmp_path / "five.html").as_uri())
    box = opened.locator(".matrix")
    assert box.evaluate("(table) => table.scrollWidth - table.parentElement.clientWidth") <= 0
    context.close()


def test_a_link_opens_its_cluster(page):
    page.locator("#single-gene .heat a", has_text="right").first.click()
    assert page.evaluate("document.querySelector(location.hash).open")


def test_it_prints(page):
    pages = [_pages(page.pdf(format="A4"))]
    page.get_by_role("button", name="Open all").click()
    pages.append(_pages(page.pdf(format="A4")))
    assert 0 < pages[0] <= pages[1]


def _pages(pdf: bytes) -> int:
    assert pdf.startswith(b"%PDF")
    return len(re.findall(rb"/Type\s*/Page\b", pdf))
