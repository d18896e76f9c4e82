"""How fast are the measurements and the rule sets, per core, and do our published sets decide as their own tools do?

    .venv/bin/python benchmarks/rules.py                                    # ours alone, about a minute
    .venv/bin/python benchmarks/rules.py --peers .peers/bin/python      # two minutes more

Texts are of prose_ja and noisy/pages_ja of the shared data, every document with the same chance, cleaned. Ours run
in one thread on 24 MB, three times after a warm-up, and the median counts; the peers run in their own interpreter on
the first few MB of the same documents, whose verdicts ours gives again in the same run. Processor seconds are the
measure, because machines are shared. A set is timed twice: with what it compares, as its own tool computes no more
either; and as in a build, which measures the default signals whatever the set. Ours asks every rule of every document;
the peers are timed so too, and as they are by default: until one filter drops. "Agree" is the share of those documents
that both keep or both drop.

Promised: all signals together 15 MB/s, language 40 MB/s with 99.5% of the labels that the whole text has,
HojiChar's set 20 times all of HojiChar's filters, FineWeb-2's 100 times all of datatrove's (the sets by themselves).
The exit status says whether all hold. "Signals" are the default ones, "all signals" those and every published one.

Seen on two cores: signals 39 to 43 MB/s, all 15.1 to 15.8; HojiChar's set 40 (in a build 22) against 0.99, 41 (22)
times; FineWeb-2's 81 (30) against 0.25, 326 (119) times; 97.8% and 96.1% agree.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.update(
    {"POLARS_MAX_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
)

import orjson
import polars as pl
import zstandard

from corpus_ja.config import filters_folder
from corpus_ja.stages import language, lists, published, rules, signals
from corpus_ja.stages.clean import Clean, clean
from corpus_ja.stages.lists import Words, WordSearch
from corpus_ja.stages.rules import RuleSet

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("CORPUS_JA_DATA") or REPOSITORY.parent / "shared" / "data")
SAMPLE = 24_000_000
PEER_SAMPLES = {"hojichar": 3_000_000, "datatrove": 800_000}
RUNS = 3
PROMISED = {
    "signals": 15.0,
    "all signals": 15.0,
    "language": 40.0,
    "labels": 0.995,
    "hojichar": 20.0,
    "datatrove": 100.0,
}
HOJICHAR_LISTS = {
    "hojichar_ads": "advertisement_keywords_ja",
    "hojichar_adult": "adult_keywords_ja",
    "hojichar_adult_en": "adult_keywords_en",
    "hojichar_discrimination": "discrimination_keywords_ja",
    "hojichar_violence": "violence_keywords_ja",
}
NOT_ASKED = {"hojichar": {"nouns", "language"}, "fineweb2_ja": {"glotlid"}}
"""Rules that the peer is not asked for either: they need models of their own."""


def sampled(size: int) -> pl.Series:
    """About `size` bytes of cleaned documents, drawn evenly."""
    documents: list[str] = []
    for path in [*sorted((DATA / "prose_ja").glob("*.jsonl.zst")), DATA / "noisy" / "pages_ja.jsonl.zst"]:
        with zstandard.open(path, "rb") as file:
            documents += [orjson.loads(line)["text"] for line in file.read().split(b"\n") if line]
    random.Random(1).shuffle(documents)  # noqa: S311 - a sample, not a secret
    total, count = 0, 0
    while count < len(documents) and total < size:
        total += len(documents[count].encode("utf-8", "surrogatepass"))
        count += 1
    text = clean(pl.Series("text", documents[:count]), Clean())
    return text.filter(text != "")


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of a piece of work, the median of a few runs after one that warms up."""
    work()
    taken = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def rule_set(name: str) -> RuleSet:
    """A shipped rule set without the rules that the peer is not asked for."""
    path = filters_folder() / f"{name}.yaml"
    whole = rules.parse_rule_set(name, str(path), path.read_text(encoding="utf-8"))
    chosen = [rule for rule in whole.rules if rule.name not in NOT_ASKED.get(name, set())]
    return whole.model_copy(update={"rules": chosen})


def judged(text: pl.Series, chosen: RuleSet, search: WordSearch | None, *, build: bool = False) -> pl.Series:
    """Which documents a rule set keeps, everything it needs measured on the way; in a build, the default signals too."""
    names = rules.names_to_measure([chosen])
    if build or any(rule.signal in signals.SIGNALS for rule in chosen.rules):
        table = signals.measure(pl.DataFrame({"text": text}), "ja", names)
    else:
        table = published.measure(text, pl.Series("url", [None] * len(text), dtype=pl.String), names)
    if search is not None:
        table = table.hstack(search.measure(text))
    return rules.judge(table, [chosen])["dropped_by"].is_null()


def hojichar_lists() -> WordSearch:
    """HojiChar's own lists, searched as it searches them: without boundaries."""
    folder = DATA / "wordlists" / "hojichar"
    return WordSearch(
        [
            Words(name, lists.parse_words((folder / f"{file}.txt").read_text(encoding="utf-8")), boundaries=False)
            for name, file in HOJICHAR_LISTS.items()
        ]
    )


def ours(text: pl.Series) -> dict[str, float]:
    """MB/s of what we measure, and the share of language labels that are the whole text's."""
    size = int(text.str.len_bytes().sum()) / 1e6
    frame, model = pl.DataFrame({"text": text}), str(language.default_model_path())
    search = hojichar_lists()
    found = {
        "signals": size / seconds(lambda: signals.measure(frame, "ja")),
        "all but zlib": size / seconds(lambda: signals.measure(frame, "ja", set(published.PUBLISHED) - {"zlib_ratio"})),
        "all signals": size / seconds(lambda: signals.measure(frame, "ja", published.PUBLISHED)),
        "lists": size / seconds(lambda: search.measure(text)),
        "language": size / seconds(lambda: language.measure(text, model)),
    }
    for name, lookup in (("corpus_ja", None), ("hojichar", search), ("fineweb2_ja", None), ("swallow_v1", None)):
        chosen = rule_set(name)
        if lookup is None:
            kept = [rule for rule in chosen.rules if rule.requires is None]
            chosen = chosen.model_copy(update={"rules": kept})
        found[f"set {name}"] = size / seconds(lambda chosen=chosen, lookup=lookup: judged(text, chosen, lookup))  # type: ignore[misc]
        found[f"set {name}, build"] = size / seconds(
            lambda chosen=chosen, lookup=lookup: judged(text, chosen, lookup, build=True)  # type: ignore[misc]
        )
    found["labels"] = agreement_of_labels(text, model)
    return found


def agreement_of_labels(text: pl.Series, model: str) -> float:
    """The share of documents whose label from windows is the one that the whole text has."""
    import fasttext

    network = fasttext.load_model(model)
    windows = language.measure(text, model)["language"].to_list()
    same = 0
    for label, whole in zip(windows, text.to_list(), strict=True):
        labels, _ = network.predict(" ".join(whole.split("\n")))
        same += label is None or label == labels[0].removeprefix("__label__")
    return same / len(windows)


def peer(name: str, way: str, interpreter: Path, text: pl.Series) -> tuple[float, list[bool]]:
    """A peer's MB/s in one way of judging (see rule_peers.py), and which documents it keeps."""
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "documents.jsonl"
        sample.write_bytes(b"".join(orjson.dumps({"text": one}) + b"\n" for one in text))
        script = Path(__file__).with_name("rule_peers.py")
        done = subprocess.run([interpreter, script, name, sample, way], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} did not run under {interpreter}:\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    return int(text.str.len_bytes().sum()) / 1e6 / result["cpu"], result["kept"]


def beside(name: str, set_name: str, interpreter: Path, found: dict[str, float]) -> float:
    """Print a set's speed beside its own tool's in both ways of judging; how many times all of its filters ours is."""
    text = sampled(PEER_SAMPLES[name])
    chosen, search = rule_set(set_name), hojichar_lists() if name == "hojichar" else None
    mine, built = found[f"set {set_name}"], found[f"set {set_name}, build"]
    times = 0.0
    for way in ("first", "all"):
        theirs, kept = peer(name, way, interpreter, text)
        times = mine / theirs
        agree = sum(one == other for one, other in zip(judged(text, chosen, search), kept, strict=True)) / len(text)
        asked = "all filters" if way == "all" else "until one drops"
        print(
            f"{set_name:<12}{mine:>10.1f}{built:>10.1f}{theirs:>10.3f}"
            f"{times:>7.0f}x{built / theirs:>7.0f}x{agree:>8.1%}  {name}, {asked}"
        )
    return times


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and say which promises hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--peers", type=Path, help="an interpreter that has benchmarks/peers.txt")
    options = parser.parse_args(arguments)
    if not DATA.is_dir():
        sys.exit(f"The shared data is not at {DATA}; set CORPUS_JA_DATA to its folder.")
    text = sampled(SAMPLE)
    print(f"{len(text):,} documents, {int(text.str.len_bytes().sum()) / 1e6:.1f} MB, one thread, processor seconds\n")
    found = ours(text)
    for name, value in found.items():
        print(f"{name:<22}{value:>9.2%}" if name == "labels" else f"{name:<22}{value:>9.1f} MB/s")
    if options.peers is not None:
        print(f"\n{'set':<12}{'ours MB/s':>10}{'in build':>10}{'theirs':>10}{'times':>8}{'build':>8}{'agree':>8}")
        for name, set_name in (("hojichar", "hojichar"), ("datatrove", "fineweb2_ja")):
            found[name] = beside(name, set_name, options.peers.absolute(), found)
    else:
        print(
            "\nWithout --peers nothing is compared: make an environment with benchmarks/peers.txt and name its python."
        )
    print()
    failed = [name for name, least in PROMISED.items() if name in found and found[name] < least]
    for name, least in PROMISED.items():
        if name in found:
            print(f"{name}: {found[name]:.4g}, promised {least:g}: {'FAILS' if name in failed else 'holds'}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
