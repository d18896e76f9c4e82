"""The spam model: fitted anew, and measured on hands that it was not taught.

    python benchmarks/spam.py [--data DIR] [--write]

`spam_texts.jsonl.zst` beside this file holds texts written for it: advertisements, documents filled into templates, and
good texts chosen to be near both, each with its `hand` (who wrote it: letters), `group` (one template, or one text) and
`kind` (ad, template, good). Good prose at large is prose_ja of the shared data and its pages_ja and lowquality_ja.

For each hand that wrote spam three models are fitted without that hand, and each without a third of all good texts.
Said is what part of the hand's spam is above a limit (the mean of the three), and what part of the good texts near spam
and of the prose (each judged by the model that was not taught it): for the limit that 0.3% of the prose exceed, and for
the rule's. Hands in `TEST` are never taught. `--write` fits on everything but these and writes
src/corpus_ja/stages/spam_ja.tsv. Two minutes on one core; a minute with `--hands test`.
"""

import argparse
import io
import json
import os
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from corpus_ja.stages.spam import LONGEST, SHORTEST, SMOOTHING, UNIT, folded

HERE = Path(__file__).resolve().parent
TEXTS = HERE / "spam_texts.jsonl.zst"
WRITTEN = HERE.parent / "src" / "corpus_ja" / "stages" / "spam_ja.tsv"
TEST = frozenset({"test"})
LEAST_GROUPS = 4
"""Groups of spam that must have an n-gram: what fewer have is a topic's."""
OF_GOOD, C = 8.0, 0.5
"""Weight of a good text near spam, where a group of spam has that of about its documents' number to the 0.3; and the
inverse of the penalty. Chosen by the figures that this program prints."""
FALSE_ALARMS = 0.003
LIMIT = -0.7
"""Of the rule worded_like_spam in filters/corpus_ja.yaml."""
PART = re.compile(r"[ぁ-ゖァ-ヺー一-鿿々、。！？「」…・]+")

Matrix = Any  # scipy's sparse matrices have no useful types


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a .jsonl.zst."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        return [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]


def prose(data: Path) -> tuple[list[str], npt.NDArray[np.str_]]:
    """Good prose at large: texts that are long enough, and the file of each."""
    paths = [*sorted((data / "prose_ja").glob("*.jsonl.zst")), *(data / "noisy" / f"{name}.jsonl.zst" for name in ("pages_ja", "lowquality_ja"))]  # fmt: skip
    texts, files = [], []
    for path in paths:
        for record in read(path):
            if len(record["text"]) > SHORTEST:
                texts.append(record["text"])
                files.append(path.name.split(".")[0])
    return texts, np.array(files)


def candidates(records: list[dict[str, Any]]) -> list[str]:
    """The n-grams that at least four groups of spam have."""
    groups: dict[str, set[str]] = defaultdict(set)
    for record in records:
        for part in PART.findall(folded(record["text"])):
            for n in range(2, LONGEST + 1):
                for begin in range(len(part) - n + 1):
                    groups[part[begin : begin + n]].add(record["group"])
    return sorted(gram for gram, of in groups.items() if len(of) >= LEAST_GROUPS)


def rates(texts: list[str], grams: list[str]) -> Matrix:
    """What the model multiplies its weights by, [texts, n-grams]: see corpus_ja.stages.spam."""
    counter = CountVectorizer(
        analyzer="char", ngram_range=(2, LONGEST), lowercase=False, vocabulary=grams, dtype=np.float64
    )
    counts = counter.transform(folded(text) for text in texts).tocsr()
    lengths = np.array([len("".join(text.split())) for text in texts], dtype=np.float64)
    row = np.repeat(np.arange(len(texts)), np.diff(counts.indptr))
    counts.data = np.minimum(counts.data, np.ceil(lengths / 1000)[row]) * (1000 / (lengths + SMOOTHING))[row]
    return counts


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("CORPUS_JA_DATA", str(HERE.parent.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(default), help="the shared data")
    parser.add_argument("--write", action="store_true", help="write the model of all hands but the test's")
    parser.add_argument("--hands", nargs="*", help="measure these only, and the test's")
    asked = parser.parse_args()
    if not (asked.data / "prose_ja").is_dir():
        print(f"{asked.data}/prose_ja is not there; say where the shared data is with --data DIR.", file=sys.stderr)
        return 1

    records = [record for record in read(TEXTS) if len(record["text"]) > SHORTEST]
    spam = [record for record in records if record["kind"] != "good"]
    good = [record for record in records if record["kind"] == "good"]
    taught = [record for record in spam if record["hand"] not in TEST]
    grams = candidates(taught)
    of_spam, of_good = (rates([record["text"] for record in some], grams) for some in (spam, good))
    large, files = prose(asked.data)
    of_prose = rates(large, grams)
    print(f"{len(spam)} texts of spam, {len(good)} good ones near it, {len(large)} of prose; {len(grams)} n-grams")

    size: dict[str, int] = defaultdict(int)
    for record in spam:
        size[record["group"]] += 1
    by_spam = np.array([size[record["group"]] ** -0.7 for record in spam])
    by_file = {name: (files == name).sum() ** -0.5 for name in np.unique(files)}
    by_prose = np.array([by_file[name] for name in files])
    by_prose *= 2 * by_spam.sum() / by_prose.sum()
    hands = np.array([record["hand"] for record in spam])
    kinds = np.array([record["kind"] for record in spam])
    tested = np.array([record["hand"] in TEST for record in good], dtype=bool)
    real = ~np.isin(files, ["pages_ja", "lowquality_ja"])
    draw = np.random.default_rng(1)
    fold, fold_good = draw.integers(0, 3, len(large)), draw.integers(0, 3, len(good))

    def fit(some_spam: Any, some_good: Any, some_prose: Any) -> LogisticRegression:
        rows = sparse.vstack([of_spam[some_spam], of_good[some_good], of_prose[some_prose]])
        labels = np.r_[np.ones(some_spam.sum()), np.zeros(some_good.sum() + some_prose.sum())]
        weights = np.r_[by_spam[some_spam], np.full(some_good.sum(), OF_GOOD), by_prose[some_prose]]
        return LogisticRegression(C=C, solver="liblinear").fit(rows, labels, sample_weight=weights)

    untested = ~np.isin(hands, list(TEST))
    for hand in [*(sorted(set(hands) - TEST) if asked.hands is None else asked.hands), *(TEST & set(hands))]:
        # all good texts are judged by a model that was not taught them, the hand's spam by the mean of three such
        of_prose_crossed, of_good_crossed, of_hand = (
            np.zeros(len(large)),
            np.zeros(len(good)),
            np.zeros((hands == hand).sum()),
        )
        for part in range(3):
            model = fit(untested & (hands != hand), (fold_good != part) & ~tested, fold != part)
            of_prose_crossed[fold == part] = model.decision_function(of_prose[fold == part])
            of_good_crossed[fold_good == part] = model.decision_function(of_good[fold_good == part])
            of_hand += model.decision_function(of_spam[hands == hand]) / 3
        limit = float(np.quantile(of_prose_crossed[real], 1 - FALSE_ALARMS))
        for name, at in (("prose", limit), ("fixed", LIMIT)):
            parts = [
                f"{kind} {(of_hand[kinds[hands == hand] == kind] > at).mean():6.1%} of {(kinds[hands == hand] == kind).sum():4}"
                for kind in ("template", "ad")
                if (kinds[hands == hand] == kind).any()
            ]
            wrong = (of_good_crossed[~tested] > at).mean()
            new = (of_good_crossed[tested] > at).mean() if tested.any() else 0
            print(
                f"{hand:5} {name} {at:5.2f}: {', '.join(parts)}; good near spam {wrong:5.1%}, the test's {new:5.1%}, prose {(of_prose_crossed[real] > at).mean():.2%}",
                flush=True,
            )
    above = {str(name): f"{(of_prose_crossed[files == name] > LIMIT).mean():.2%}" for name in by_file}
    print(f"above {LIMIT:.2f}, by three folds: {above}")
    final = fit(untested, ~tested, np.ones(len(large), dtype=bool))
    above = {str(name): f"{(final.decision_function(of_prose[files == name]) > LIMIT).mean():.2%}" for name in by_file}
    print(
        f"above {LIMIT:.2f}, taught: {above}; good near spam {(final.decision_function(of_good[~tested]) > LIMIT).mean():.2%}"
    )
    if asked.write:
        weights = {gram: round(UNIT * weight) for gram, weight in zip(grams, final.coef_[0], strict=True)}
        lines = [
            "# Weights of the spam model in thousandths; fitted by benchmarks/spam.py on texts written for corpus-ja; MIT."
        ]
        lines += [f"\t{round(UNIT * final.intercept_[0])}"]
        lines += [f"{gram}\t{weight}" for gram, weight in weights.items() if weight]
        WRITTEN.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{WRITTEN}: {len(lines) - 2} n-grams, {WRITTEN.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
