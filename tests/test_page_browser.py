"""The report page in headless Chromium: it loads in silence, its sliders say what a rebuild says, hostile text is text.

Run by `make test-browser`; needs Chromium (Debian: `apt-get install chromium fonts-noto-cjk`), named by CHROMIUM where it
is not on the path.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import yaml

from corpus_ja import page as report_page
from corpus_ja import pipeline
from corpus_ja.config import load_mix
from corpus_ja.page import Language
from tests.world import QUICKSTART, Built, Here, Watcher, World, english, japanese, write_lines

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

SILENT = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--no-default-browser-check", "--disable-features=Translate,OptimizationHints,MediaRouter",
]  # fmt: skip
READY = (
    "() => document.documentElement.dataset.limits === 'ready' && document.documentElement.dataset.charts === 'drawn'"
)


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "There is no Chromium on the path; install it, or say where it is in CHROMIUM."
    with sync_playwright() as running:
        opened = running.chromium.launch(executable_path=found, args=SILENT)
        yield opened
        opened.close()


@dataclass
class Opened:
    """A page, and everything it did that it should not."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def keeps(self) -> tuple[int, int]:
        """Documents and tokens that the limits tab says it would keep."""
        held = self.page.locator("#passing")
        return int(held.get_attribute("data-documents")), int(held.get_attribute("data-tokens"))

    def tab(self, name: str) -> None:
        self.page.locator(f"#tab-{name}").click()

    def set_limit(self, rule: str, key: str, value: float) -> None:
        self.page.locator(f'input[type="number"][data-rule="{rule}"][data-key="{key}"]').fill(str(value))


@contextmanager
def opened(browser: "Browser", path: Path, width: int = 1200, scheme: str = "light") -> Iterator[Opened]:
    """Open a page, wait until it is drawn; afterwards it must have been silent and have asked for nothing."""
    within = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = within.new_page()
    result = Opened(page)
    page.on("console", lambda message: result.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: result.said.append(f"error: {error}"))

    def dismiss(dialog: Any) -> None:  # noqa: ANN401 - a type that only checking knows
        result.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.on("popup", lambda _: result.said.append("popup"))
    page.on("request", lambda request: result.asked.append(request.url))
    page.goto(path.as_uri())
    for _ in range(400):  # `wait_for_function` compiles a string in the page, which the page forbids
        if page.evaluate(READY):
            break
        page.wait_for_timeout(50)
    assert page.evaluate(READY), result.said
    yield result
    assert [url for url in result.asked if not url.startswith("data:")] == [path.as_uri()]
    assert result.said == []
    within.close()


def written(built: Built, target: Path, language: Language = "en", most: int = 20_000) -> Path:
    report_page.write_page(built.manifest, built.folder, target, language, built.work, most)
    return target


def kept_by_rules(built: Built) -> tuple[int, int]:
    """Documents and tokens (with their end-of-text) that language and rules keep, from the build's files alone."""
    documents = tokens = 0
    for source, folder in built.manifest.work["rules"].items():
        for path in sorted((built.work / "rules" / folder).glob("*.parquet")):
            rules = pl.read_parquet(path)
            counts = built.work / "tokens" / built.manifest.work["tokens"][source] / f"{path.stem}.counts.parquet"
            frame = rules.with_columns(tokens=pl.read_parquet(counts)["tokens"].cast(pl.Int64))
            passes = frame.filter(
                (pl.col("broken").list.len() == 0)
                & ~pl.col("dropped_by").is_in(["language", "where"]).fill_null(value=False)
            )
            documents += passes.height
            tokens += int(passes["tokens"].sum()) + passes.height
    return documents, tokens


def judged(built: Built) -> int:
    """Documents that the rules saw: in the wanted language, and not left out before."""
    return sum(
        source.read.documents - sum(source.dropped.get(verdict, 0) for verdict in ("language", "where"))
        for source in built.manifest.sources.values()
    )


def dropped_by_rules(built: Built) -> int:
    """Documents that the manifest counts under language, where or a rule."""
    later = ("duplicate.", "decontaminate.", "mix.")
    return sum(
        count
        for source in built.manifest.sources.values()
        for verdict, count in source.dropped.items()
        if not verdict.startswith(later)
    )


# ------------------------------------------------------------------------------------------------------------- quickstart


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build_quickstart(tmp_path_factory.mktemp("quickstart"), {})


def build_quickstart(folder: Path, changed: dict[tuple[str, str], dict[str, float]]) -> Built:
    """The quickstart with other limits: {(rule set, rule): {key: limit}}; work is shared by all builds of a folder."""
    recipe = folder / "recipe"
    if not recipe.is_dir():
        shutil.copytree(QUICKSTART, recipe, ignore=shutil.ignore_patterns("builds", "work"))
    mix = yaml.safe_load((recipe / "mix.yaml").read_text(encoding="utf-8"))
    defaults = {"ja": ["corpus_ja"], "en": ["corpus_en"]}
    from corpus_ja.config import filters_folder

    for source in mix["sources"].values():
        names = source.get("filters") or defaults[source["language"]]
        source["filters"] = [f"./{name}.yaml" for name in names]
        for name in names:
            rules = yaml.safe_load((filters_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
            for rule in rules["rules"]:
                rule.update(changed.get((name, rule["name"]), {}))
            (recipe / f"{name}.yaml").write_text(yaml.safe_dump(rules, allow_unicode=True), encoding="utf-8")
    path = recipe / "changed.yaml"
    path.write_text(yaml.safe_dump(mix, allow_unicode=True, sort_keys=False), encoding="utf-8")
    name = f"b{len(list(folder.glob('builds/*')))}"
    watcher = Watcher()
    with Here() as runner:
        manifest, made = pipeline.run(load_mix(path), folder / "builds" / name, folder / "work", runner, watcher)
    return Built(folder / "builds" / name, folder / "work", manifest, watcher, made)


CHANGES: list[dict[tuple[str, str], dict[str, float]]] = [
    {("corpus_ja", "too_short"): {"min": 600}},
    {("corpus_ja", "too_short"): {"min": 1}, ("corpus_en", "too_short"): {"min": 1}},
    {("corpus_ja", "too_little_hiragana"): {"min": 0.5013}},
    {("wikipedia_ja", "stub"): {"min": 0}, ("corpus_ja", "too_few_sentence_ends"): {"min": 20}, ("oscar_ja", "only_short_lines"): {"max": 0.5}},
    {("corpus_en", "shop_words"): {"max": 1e9}, ("corpus_en", "stop_words"): {"min": 0}, ("corpus_en", "menu_words"): {"max": 1e9}},
]  # fmt: skip


def test_a_moved_limit_says_what_a_rebuild_with_it_counts(
    quickstart: Built, browser: "Browser", tmp_path: Path
) -> None:
    rules = {
        (one["name"], rule["name"]): rule
        for sets in quickstart.manifest.rules.values()
        for one in sets
        for rule in one["rules"]
    }
    moved_at_all = 0
    with opened(browser, written(quickstart, tmp_path / "report.html")) as own:
        own.tab("limits")
        assert own.keeps() == kept_by_rules(quickstart)
        assert f"all {judged(quickstart)} documents" in own.page.locator("#sample-says").inner_text()
        for changed in CHANGES:
            for (name, rule), limits in changed.items():
                for key, value in limits.items():
                    assert key in rules[name, rule], f"{name}.{rule} has another kind of limit now"
                    own.set_limit(f"{name}.{rule}", key, value)
            rebuilt = build_quickstart(quickstart.folder.parents[1], changed)
            assert own.keeps() == kept_by_rules(rebuilt), changed
            read = sum(source.read.documents for source in rebuilt.manifest.sources.values())
            assert own.keeps()[0] == read - dropped_by_rules(rebuilt)
            shown = re.sub(r"\D+", " ", own.page.locator("#passing strong").inner_text().replace(",", "")).split()
            assert tuple(map(int, shown)) == own.keeps(), "what is shown is what is meant"
            moved_at_all += own.keeps() != kept_by_rules(quickstart)
            own.page.locator("#scenario button").click()
            assert own.keeps() == kept_by_rules(quickstart)
    assert moved_at_all == len(CHANGES)


def test_a_slider_moves_by_keyboard_and_its_numbers_with_it(
    quickstart: Built, browser: "Browser", tmp_path: Path
) -> None:
    with opened(browser, written(quickstart, tmp_path / "report.html", "ja")) as own:
        own.tab("limits")
        slider = own.page.locator('input[type="range"][data-rule="corpus_ja.too_short"]')
        exact = own.page.locator('input[type="number"][data-rule="corpus_ja.too_short"]')
        before, limit = own.keeps(), float(exact.input_value())
        slider.focus()
        for _ in range(30):
            own.page.keyboard.press("PageUp")
        assert float(exact.input_value()) > limit
        assert "≥" in slider.get_attribute("aria-valuetext")
        assert own.keeps()[0] < before[0]
        verdict = own.page.locator("#signal-characters_without_spaces output.moved").first
        assert f"{own.keeps()[0]:,}" in verdict.inner_text()
        rebuilt = build_quickstart(
            quickstart.folder.parents[1], {("corpus_ja", "too_short"): {"min": float(exact.input_value())}}
        )
        assert own.keeps() == kept_by_rules(rebuilt)
        slider.focus()
        own.page.keyboard.press("Home")
        assert own.keeps()[0] >= before[0]


def test_one_source_alone_says_its_own_numbers(quickstart: Built, browser: "Browser", tmp_path: Path) -> None:
    with opened(browser, written(quickstart, tmp_path / "report.html")) as own:
        own.tab("limits")
        whole = own.keeps()
        parts = []
        for name in quickstart.manifest.source_names:
            own.page.locator("#limits-source").select_option(name)
            parts.append(own.keeps())
        assert tuple(map(sum, zip(*parts, strict=True))) == whole


def test_tabs_are_walked_by_keyboard_and_show_one_section_each(
    quickstart: Built, browser: "Browser", tmp_path: Path
) -> None:
    with opened(browser, written(quickstart, tmp_path / "report.html", "ja")) as own:
        names = [tab.get_attribute("aria-controls") for tab in own.page.locator("[role=tab]").all()]
        own.page.locator("[role=tab][aria-selected=true]").focus()
        for step in range(len(names) + 1):
            name = names[step % len(names)]
            assert own.page.locator("[role=tabpanel]:visible").evaluate_all("all => all.map(one => one.id)") == [name]
            assert own.page.evaluate("() => document.activeElement.id") == f"tab-{name}"
            assert own.page.locator("[role=tab][tabindex='0']").count() == 1
            own.page.keyboard.press("ArrowRight")
        own.page.keyboard.press("Home")
        assert own.page.locator("#tab-funnel").get_attribute("aria-selected") == "true"
        own.page.emulate_media(media="print")
        assert own.page.locator("[role=tabpanel]:visible").count() == len(names), "everything is printed"
        assert not own.page.locator("[role=tablist]").is_visible()


def test_search_finds_documents_by_text_id_and_verdict(quickstart: Built, browser: "Browser", tmp_path: Path) -> None:
    with opened(browser, written(quickstart, tmp_path / "report.html")) as own:
        own.tab("documents")
        text = own.page.locator("#samples .document .text").first.inner_text()
        word = next(line for line in text.splitlines() if len(line) > 8)[:8]
        own.page.locator("#search").fill(word.upper())
        own.page.wait_for_timeout(300)
        count = int(own.page.locator("#found").inner_text().split()[0])
        assert 1 <= count < 60
        assert own.page.locator("#samples .document .found").first.inner_text().lower() == word.lower()
        own.page.locator("#search").fill("no document says this")
        own.page.wait_for_timeout(300)
        assert own.page.locator("#samples .document").count() == 0
        own.page.locator("#search").fill("")
        own.page.locator("#by-verdict").select_option("duplicate.near")
        assert set(own.page.locator("#samples .document h3").all_inner_texts()) == {"duplicate.near"}
        own.page.locator("#by-verdict").select_option("corpus_en.shop_words")
        assert own.page.locator("#samples mark").count() >= 1, "the offending part is marked"


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_languages_are_drawn_whole_wide_and_narrow(
    quickstart: Built, browser: "Browser", tmp_path: Path, language: Language, scheme: str
) -> None:
    path = written(quickstart, tmp_path / "report.html", language)
    for width in (1280, 360):
        with opened(browser, path, width=width, scheme=scheme) as own:
            assert own.page.evaluate("() => document.documentElement.lang") == language
            assert own.page.evaluate("() => document.documentElement.scrollWidth") <= width, "nothing sticks out"
            assert "{" not in own.page.locator("header.head").inner_text()
            charts = own.page.locator(".chart")
            assert charts.count() > 20
            for name in ("funnel", "rules", "limits", "duplicates", "mix", "run"):
                own.tab(name)
                for chart in own.page.locator(f"#{name} .chart").all():
                    assert chart.locator("svg").count() == 1
                    assert chart.locator("svg path").count() > 3
            ground, ink = own.page.evaluate(
                "() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
            )
            assert (sum(map(int, re.findall(r"\d+", ground))) < sum(map(int, re.findall(r"\d+", ink)))) == (
                scheme == "dark"
            )


def test_the_page_lets_no_other_script_run(quickstart: Built, browser: "Browser", tmp_path: Path) -> None:
    within = browser.new_context()
    page = within.new_page()
    page.goto(written(quickstart, tmp_path / "report.html").as_uri())
    violations = page.evaluate(
        """async () => {
          const seen = [];
          document.addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "document.title = 'broken'";
          document.body.append(script);
          const holder = document.createElement("div");
          holder.innerHTML = "<img src='https://example.invalid/x.png'><p style='color: red' onclick='1'>";
          document.body.append(holder);
          await fetch("https://example.invalid/").catch(() => null);
          await new Promise((done) => setTimeout(done));  // the tester's own call may compile; what runs later may not
          let ran = true;
          try { Function("return 1")(); } catch { ran = false; }
          await new Promise((done) => setTimeout(done, 200));
          return { seen, ran, title: document.title };
        }"""
    )
    assert violations["ran"] is False
    assert "broken" not in violations["title"]
    assert {"script-src-elem", "img-src", "connect-src", "style-src-attr"} <= set(violations["seen"])
    within.close()


# ----------------------------------------------------------------------------------------------------------- sampled build


def test_of_a_part_the_page_says_the_interval_and_the_truth_lies_in_it(
    quickstart: Built, browser: "Browser", tmp_path: Path
) -> None:
    changed: dict[tuple[str, str], dict[str, float]] = {("corpus_ja", "too_short"): {"min": 600}}
    truth = kept_by_rules(build_quickstart(quickstart.folder.parents[1], changed))
    with opened(browser, written(quickstart, tmp_path / "report.html", most=120)) as own:
        own.tab("limits")
        assert own.keeps() == kept_by_rules(quickstart), "what the build kept is known exactly"
        part, whole = map(int, re.findall(r"\d+", own.page.locator("#sample-says").inner_text())[:2])
        assert 110 <= part <= 120 < whole == judged(quickstart)
        own.set_limit("corpus_ja.too_short", "min", 600)
        said = own.page.locator("#passing strong").inner_text()
        assert "±" in said
        documents, about = (int(part.replace(",", "")) for part in re.findall(r"[\d,]+", said)[:2])
        assert documents == own.keeps()[0]
        assert abs(documents - truth[0]) <= 2 * about


# ----------------------------------------------------------------------------------------------------------- hostile text

HOSTILE = [
    "</script><script>alert('text')</script>",
    "<img src=x onerror=alert('image')><svg onload=alert('svg')><iframe src=javascript:alert('frame')></iframe>",
    "<!-- <script> <!-- </script> --> ]]> &lt;script&gt;alert(1)&lt;/script&gt; {{title}} ${alert(1)} `${alert(2)}`",
    "\u202eright to left\u202c \u2066isolated\u2069 zero\u200bwidth\u200d\ufeff \u061c\u200f",
    "\x1b[31mred\x1b]0;title\x07 \x9b2J \u0085 \u2028line\u2029paragraph",
    "<meta http-equiv=refresh content='0;url=https://example.invalid/'><base href='https://example.invalid/'><style>*{display:none}</style>",
    "ก็็็็็็็็็็็็็็็็็็็็ Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘",
    "__proto__ constructor toString hasOwnProperty",
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A build whose texts, ids, addresses, licence and rules attack the page; and one document of many megabytes."""
    world = World.make(tmp_path_factory.mktemp("hostile"))
    records: list[dict[str, Any]] = []
    for number, attack in enumerate(HOSTILE):
        records.append(
            {"id": f"short {attack}", "text": f"{attack}短い", "url": f"https://e.example/{attack}", "score": 1}
        )
        records.append(
            {
                "id": f"long {attack}",
                "text": f"{attack}\n{japanese(f'hostile {number}', 12)}",
                "url": attack,
                "score": 1,
            }
        )
    records += [
        {"id": "__proto__", "text": japanese("proto", 9), "url": "javascript:alert(1)", "score": 1},
        {"id": "huge line", "text": "</script>今だけ" * 400_000, "url": None, "score": 1},
        {"id": "huge", "text": "買う\n" * 900_000, "url": None, "score": 1},
    ]
    write_lines(world.folder / "river" / "c.jsonl", records)
    write_lines(world.folder / "constructor.jsonl", [{"text": english(f"constructor {n}")} for n in range(9)])
    rules = yaml.safe_load((world.folder / "tidy_ja.yaml").read_text(encoding="utf-8"))
    rules["rules"][0]["why"] = f"{HOSTILE[0]} {HOSTILE[3]}"
    (world.folder / "tidy_ja.yaml").write_text(yaml.safe_dump(rules, allow_unicode=True), encoding="utf-8")
    return world.build(
        changes={
            "sources.river.license": HOSTILE[0] + HOSTILE[3],
            "sources.constructor": {"jsonl": "constructor.jsonl", "language": "en", "filters": "none"},
        }
    )


@pytest.mark.parametrize("language", ["ja", "en"])
def test_hostile_text_is_text(hostile: Built, browser: "Browser", tmp_path: Path, language: Language) -> None:
    path = written(hostile, tmp_path / "report.html", language)
    assert path.stat().st_size < report_page.MOST_BYTES
    with opened(browser, path) as own:
        title = own.page.title()
        for name in ("rules", "limits", "documents", "duplicates", "evaluation", "mix", "run", "origin", "funnel"):
            own.tab(name)
        own.tab("documents")
        while own.page.locator("#more").is_visible():
            own.page.locator("#more").click()
        texts = own.page.locator("#samples .text").all_inner_texts()
        assert any("</script><script>alert('text')</script>" in text for text in texts)
        assert any("onerror=alert('image')" in text for text in texts)
        assert own.page.locator("main img, main iframe, main script, main style, main base, main meta").count() == 0
        assert own.page.locator("main svg").count() == own.page.locator("main .chart svg").count(), (
            "only charts are drawn"
        )
        escapes = set(own.page.locator("#samples .escape").all_inner_texts())
        assert {"U+202E", "U+200B", "U+2066", "U+061C"} <= escapes
        bare = own.page.evaluate(
            r"() => /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/.test(document.body.innerText)"
        )
        assert not bare, "nothing invisible is left in what is shown"
        own.page.locator("#search").fill("</script>")
        own.page.wait_for_timeout(400)
        assert own.page.locator("#samples .document").count() >= 2
        own.page.wait_for_timeout(300)
        assert own.page.title() == title
        assert own.page.url.startswith("file:")
        assert own.page.evaluate("() => document.documentElement.scrollWidth") <= 1200
