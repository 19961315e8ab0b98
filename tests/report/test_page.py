"""The page as a browser has it: headless Chromium on what `icpo report --out` wrote."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, closing
from pathlib import Path
from typing import Any

import pytest

from icpo_cli.report.figures import figures_of
from icpo_cli.report.page import write_page
from icpo_cli.tables.document import Cell, Column, Document, Highlight, Table
from icpo_cli.track.read import open_store
from tests.report.stores import HOSTILE, Made, train

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
SECOND_MARKUP = "<svg onload=\"document.title = 'ran'\"></svg>"
LONG = f"begins here {'x' * 1_000_000} ends here"


@pytest.fixture(scope="module")
def page_folder(made_store: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the store that all tests read."""
    folder = tmp_path_factory.mktemp("page")
    store = open_store(str(made_store.folder / "mlflow.db"))
    cells = (Cell("icpo"), Cell("61.2", highlight=Highlight.BEST))
    table = Table("Table 1", (Column("Method", numeric=False), Column("MATH-500")), (("", (cells,)),))
    write_page(store, store.runs(), [Document("Table 1", (table,))], folder)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, page_folder: Path) -> Iterator[Callable[..., Any]]:
    """Opens the page, or a run of it; at the end nothing may have been asked of a network or gone wrong."""
    asked: list[str] = []
    wrong: list[str] = []
    contexts = []

    def open_page(run: str = "", folder: Path = page_folder, width: int = 1280, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", lambda message: wrong.append(message.text))
        tab.goto((folder / "index.html").as_uri() + (f"#run/{run}" if run else ""))
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert sum(url.startswith("file:") for url in asked) == len(contexts)  # the page itself and nothing beside it


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of a page's time; for tests of other things."""
    monkeypatch.setattr("icpo_cli.report.page.figures_of", lambda *given: [])


def responses(tab: Any) -> Any:
    return tab.locator("#responses > .answer")


def search(tab: Any, form: str, text: str) -> None:
    tab.get_by_role("search", name=form).get_by_role("searchbox").fill(text)


@in_a_browser
def test_the_overview_has_tables_figures_and_runs(opened: Callable, made_store: Made) -> None:
    tab = opened()
    assert tab.locator("#tables .best").inner_text() == "61.2"
    pictures = tab.locator("#figures img")
    assert pictures.count() >= 5
    loaded = pictures.evaluate_all("images => images.every(image => image.complete && image.naturalWidth > 500)")
    assert loaded, "the policy lets the pictures in"
    assert tab.locator("#run-table tbody tr").count() == 9
    assert "9 of 9 runs" in tab.locator("#runs").inner_text()
    assert tab.locator(".summary").inner_text().split("\n")[:2] == ["training runs", "4"]


@in_a_browser
def test_runs_are_found_by_text_kind_and_status(opened: Callable) -> None:
    tab = opened()
    names = tab.locator("#run-table tbody tr a")
    search(tab, "Runs", "GRPO")
    assert sorted(names.all_inner_texts())[-1] == "grpo" and names.count() == 2
    search(tab, "Runs", "")
    tab.get_by_label("Status").select_option("RUNNING")
    assert names.all_inner_texts() == ["running"]
    tab.get_by_label("Status").select_option("")
    tab.get_by_label("Kind").select_option("study")
    assert names.all_inner_texts() == ["schedule"]


@in_a_browser
def test_a_run_opens_from_the_list_by_keyboard_and_closes(opened: Callable, made_store: Made) -> None:
    tab = opened()
    search(tab, "Runs", made_store.icpo)
    tab.locator("#run-table tbody a", has_text="icpo").last.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#run h2").inner_text() == "icpo"
    assert not tab.locator("#overview").is_visible()
    tab.keyboard.press("Tab")  # from the heading, which has the focus, on to the links and blocks
    while tab.evaluate("document.activeElement.innerText") != "Configuration":
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert tab.locator(".pairs tr", has_text="method.delta").inner_text().split() == ["method.delta", "0.4"]
    tab.locator("#run h2 ~ details summary", has_text="Metrics").click()
    accuracy = tab.locator("#run tr", has_text="eval/heldout/avg_at_k")
    assert accuracy.locator("td").all_inner_texts()[1::2] == ["65", "50"]
    assert accuracy.locator("polyline").count() == 1
    tab.go_back()
    assert tab.locator("#overview").is_visible() and not tab.locator("#run").is_visible()


@in_a_browser
def test_responses_are_filtered_and_show_the_derivation(opened: Callable, made_store: Made) -> None:
    tab = opened(made_store.icpo)
    count = tab.locator("#run .count")
    assert count.inner_text() == "60 of 60 responses" and responses(tab).count() == 25
    tab.get_by_role("button", name="More responses").click()
    assert responses(tab).count() == 50
    tab.locator("select[name=verdict]").select_option("correct")
    tab.get_by_label("From").select_option("iteration 2")
    assert count.inner_text() == "8 of 60 responses"  # ++-- +-0- ---- ++++ +t--
    search(tab, "Responses", "SUM/2/1")
    assert responses(tab).count() == 1
    responses(tab).locator("summary").click()
    opened_one = responses(tab).locator(".opened").inner_text()
    assert "1 + 2 = ?" in opened_one and "<think>so</think><answer>3</answer>" in opened_one

    rows = [row.locator("td").all_inner_texts() for row in responses(tab).locator("tbody tr").all()]
    stored = [row for row in stored_rows(made_store.icpo, made_store) if row["prompt_id"] == "sum/2/1"]
    columns = ("confidence", "reward_verif", "preference_score", "bonus", "reward_final", "advantage", "grpo_advantage")
    expected = {str(row["response"]): [f"{row[name]:.3f}" for name in columns] for row in stored}
    assert {row[0]: row[2:] for row in rows} == expected
    confidences = [float(row[2]) for row in rows]
    assert confidences == sorted(confidences)
    assert responses(tab).locator("tr.chosen td").first.inner_text() == "1"


def stored_rows(run: str, made: Made) -> list[dict[str, Any]]:
    from icpo_cli.runs.parquet import read_table

    return read_table(made.folder / "runs" / run / "responses" / "iteration-00002.parquet")


@in_a_browser
def test_model_output_is_text_whatever_it_contains(opened: Callable, made_store: Made) -> None:
    tab = opened(made_store.icpo)
    tab.get_by_label("From").select_option("iteration 1")
    for place, text in enumerate(HOSTILE):
        item = responses(tab).nth(place)
        item.locator("summary").click()
        shown = item.locator("pre").nth(1)
        wanted = text.replace("\ud800", "?")
        for code in ("\x1b", "\x07", "\u202e", "\u202c"):
            wanted = wanted.replace(code, f"⟨U+{ord(code):04X}⟩")
        assert shown.text_content() == wanted
        assert shown.locator("*").count() == 0
    assert tab.title() == "icpo · icpo report"
    assert tab.evaluate("document.scripts.length") == 2
    assert tab.locator("img[src=x]").count() == 0


@in_a_browser
def test_markup_put_into_the_page_would_not_run(browser: Any, page_folder: Path, tmp_path: Path) -> None:
    """The policy is the second fence: even markup that reached the page as such stays dead."""
    text = (page_folder / "index.html").read_text()
    injected = "<script>ran = 1</script><img src=x onerror='ran = 1'><svg onload='ran = 1'></svg>"
    (tmp_path / "index.html").write_text(text.replace('<section id="tables"', injected + '<section id="tables"'))
    tab = browser.new_page()
    tab.goto((tmp_path / "index.html").as_uri())
    tab.wait_for_timeout(200)
    assert tab.locator("img[src=x]").count() == 1
    assert tab.evaluate("window.ran") is None
    assert tab.locator("#run-table tbody tr").count() == 9  # the page's own script does run
    tab.close()


@in_a_browser
@pytest.mark.usefixtures("without_figures")
def test_names_of_runs_are_text_and_a_megabyte_is_shortened(opened: Callable, tmp_path: Path) -> None:
    name = "<b>bold</b> \u202ename"
    with chdir(tmp_path):
        run = train(name, iterations=1, texts=[LONG, SECOND_MARKUP])
    store = open_store(str(tmp_path / "mlflow.db"))
    write_page(store, store.runs(), [], tmp_path / "page")
    assert (tmp_path / "page" / "index.html").stat().st_size < 1_000_000
    tab = opened(run, folder=tmp_path / "page")
    assert tab.locator("#run h2").inner_text() == "<b>bold</b> ⟨U+202E⟩name"
    responses(tab).first.locator("summary").click()
    shown = responses(tab).first.locator("pre").nth(1).text_content()
    assert shown.startswith("begins here xxx") and shown.endswith("xxx ends here")
    assert f"[… {len(LONG) - 6000:,} characters left out …]" in shown


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(opened: Callable, made_store: Made, scheme: str) -> None:
    for run in ("", made_store.icpo, made_store.eval_base):
        tab = opened(run, width=360, scheme=scheme)
        for summary in tab.locator("#run summary").all():
            summary.click()
        assert tab.evaluate("document.documentElement.scrollWidth") == 360
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


@in_a_browser
def test_an_evaluation_shows_its_responses_by_benchmark(opened: Callable, made_store: Made) -> None:
    tab = opened(made_store.eval_base)
    assert "partial" not in tab.locator("#run > .facts").inner_text()
    tab.get_by_label("From").select_option("aime24")
    assert responses(tab).count() == 16  # one question's, which are as many as have room
    responses(tab).first.locator("summary").click()
    assert "<answer>7</answer>" in responses(tab).first.locator(".opened").inner_text()
    partial = opened(made_store.eval_partial)
    assert "AIME24 40.0 (partial)" in partial.locator("#run > .facts").inner_text()


@pytest.mark.usefixtures("without_figures")
def test_a_report_says_what_it_left_out(made_store: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icpo_cli.report.page.RUNS_WITH_CURVES", 3)
    store = open_store(str(made_store.folder / "mlflow.db"))
    table = Table("t", (Column("GPQA"),), (("", ((Cell("1.0", run_id=made_store.eval_grpo),),)),))
    write_page(store, store.runs(), [Document("t", (table,))], tmp_path)
    sentence = "Of 9 runs, 3 have their curves here and 3 some of their responses"
    assert sentence in (tmp_path / "index.html").read_text()
    with_curves = {run["id"] for run in document_of(tmp_path)["runs"] if run["responses"]}
    # Those that are drawn, then those that fill the table.
    assert with_curves == {made_store.grpo, made_store.icpo, made_store.eval_grpo}


@pytest.mark.usefixtures("without_figures")
def test_a_run_that_is_deleted_meanwhile_is_listed_without_its_curves(made_store: Made, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(made_store.folder / "mlflow.db", path)
    store = open_store(str(path))
    runs = store.runs()
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("latest_metrics", "metrics", "params", "tags", "runs"):
            database.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (made_store.icpo,))
    write_page(store, runs, [], tmp_path / "page")
    listed = {run["id"]: run for run in document_of(tmp_path / "page")["runs"]}
    assert (listed[made_store.icpo]["curves"], listed[made_store.icpo]["responses"]) == ({}, [])
    assert listed[made_store.grpo]["curves"]["entropy"][0] == [1, 2, 3] and listed[made_store.grpo]["responses"]


def document_of(folder: Path) -> dict[str, Any]:
    """The data that the page's script reads."""
    text = (folder / "index.html").read_text()
    return json.loads(text.partition('id="data">')[2].partition("</script>")[0])


def test_the_page_needs_no_engine(made_store: Made, tmp_path: Path) -> None:
    program = (
        "import sys; from icpo_cli.__main__ import main\n"
        f"sys.argv = ['icpo', 'report', {made_store.failed!r}, '--out', {str(tmp_path)!r}]\n"
        "try: main()\n"
        "finally: print(sorted({'torch', 'vllm', 'deepspeed', 'transformers', 'mlflow'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=made_store.folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout.splitlines() == [str(tmp_path / "index.html"), "[]"], done.stderr


def test_a_page_of_an_earlier_report_is_replaced_and_nothing_else(
    made_store: Made, icpo_here: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made_store.folder)
    monkeypatch.setattr("icpo_cli.report.page.figures_of", lambda *given: figures_of(*given)[:1])  # they take seconds
    done = icpo_here("report", "--out", str(tmp_path / "page"))
    assert (done.status, done.out.strip()) == (0, str(tmp_path / "page" / "index.html"))
    figures = tmp_path / "page" / "figures"
    (figures / "training-1.pdf").rename(figures / "old-7.pdf")
    (figures / "mine.png").write_bytes(b"mine")
    index = tmp_path / "page" / "index.html"
    index.write_text(index.read_text().replace("figures/training-1.pdf", "figures/old-7.pdf"))
    assert icpo_here("report", "--out", str(tmp_path / "page")).status == 0
    assert not (figures / "old-7.pdf").exists(), "the earlier page's own"
    assert (figures / "mine.png").exists() and (figures / "training-1.pdf").exists()

    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<h1>my site</h1>")
    refused = icpo_here("report", "--out", str(tmp_path / "site"))
    assert refused.status == 2
    assert refused.err.strip().endswith("its index.html was not written by icpo report; name another folder")
    assert (tmp_path / "site" / "index.html").read_text() == "<h1>my site</h1>"

    (tmp_path / "file").write_text("")
    blocked = icpo_here("report", "--out", str(tmp_path / "file" / "page"))
    assert (blocked.status, len(blocked.err.strip().splitlines())) == (2, 1)
    assert "cannot be written" in blocked.err
