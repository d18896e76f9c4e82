"""The spam model: fitted anew, and measured on hands that it was not taught.

    python benchmarks/spam.py [--data DIR] [--hands HAND ...] [--write]

`spam_texts.jsonl.zst` beside this file holds texts written for it: advertisements, documents filled into templates, and
good texts chosen to be near both, each with its `hand` (who wrote it), `group` (one template, or one text) and `kind`
(ad, template, good). Good prose at large is prose_ja of the shared data and its pages_ja and lowquality_ja.

For each hand that wrote spam three models are fitted without that hand, and each without a third of all good texts.
Said is what part of the hand's spam is above a limit, and what part of the good texts near spam and of the prose: for
the limit that 0.3% of the prose exceed, and for the rule's. Hands in `TEST` are never taught. `--write` fits on
everything but these and writes src/corpus_ja/stages/spam_ja.tsv. Half a minute to read, then five seconds a hand.
"""

import argparse
import io
import json
import os
import re
import sys
from collections import Counter, defaultdict
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
TEST = frozenset({"test", "test2"})
NOISY = ["pages_ja", "lowquality_ja"]
HEADING = (
    "# Weights of the spam model in thousandths; fitted by benchmarks/spam.py on texts written for corpus-ja; MIT."
)
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
Some = npt.NDArray[np.bool_]


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a .jsonl.zst."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        return [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]


def prose(data: Path) -> tuple[list[str], npt.NDArray[np.str_]]:
    """Good prose at large: texts that are long enough, and the file of each."""
    paths = [*sorted((data / "prose_ja").glob("*.jsonl.zst")), *(data / "noisy" / f"{name}.jsonl.zst" for name in NOISY)]  # fmt: skip
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


class Evidence:
    """All texts as rates of the n-grams, and what each weighs in a fit."""

    def __init__(self, records: list[dict[str, Any]], data: Path) -> None:
        spam = [record for record in records if record["kind"] != "good"]
        good = [record for record in records if record["kind"] == "good"]
        self.grams = candidates([record for record in spam if record["hand"] not in TEST])
        large, self.files = prose(data)
        self.spam, self.good, self.prose = (
            rates(texts, self.grams)
            for texts in ([record["text"] for record in spam], [record["text"] for record in good], large)
        )
        self.hands = np.array([record["hand"] for record in spam])
        self.kinds = np.array([record["kind"] for record in spam])
        self.taught = ~np.isin(self.hands, list(TEST))
        self.good_taught = np.array([record["hand"] not in TEST for record in good])
        size = Counter(record["group"] for record in spam)
        self.by_spam = np.array([size[record["group"]] ** -0.7 for record in spam])
        size = Counter(self.files.tolist())
        self.by_prose = np.array([size[name] ** -0.5 for name in self.files.tolist()])
        self.by_prose *= 2 * self.by_spam[self.taught].sum() / self.by_prose.sum()

    def fit(self, spam: Some, good: Some, prose: Some) -> LogisticRegression:
        """A model of the chosen rows."""
        rows = sparse.vstack([self.spam[spam], self.good[good], self.prose[prose]])
        labels = np.r_[np.ones(spam.sum()), np.zeros(good.sum() + prose.sum())]
        weights = np.r_[self.by_spam[spam], np.full(good.sum(), OF_GOOD), self.by_prose[prose]]
        return LogisticRegression(C=C, solver="liblinear").fit(rows, labels, sample_weight=weights)

    def without(self, hand: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Scores by models that were not taught the hand: of its spam, of all good texts, of the prose. The good texts
        and the prose are each judged by the one of three models that was not taught them, the spam by their mean.
        """
        draw = np.random.default_rng(1)
        of_good, of_prose = np.zeros(self.good.shape[0]), np.zeros(self.prose.shape[0])
        fold, fold_good = draw.integers(0, 3, len(of_prose)), draw.integers(0, 3, len(of_good))
        own = self.hands == hand
        of_hand = np.zeros(own.sum())
        for part in range(3):
            model = self.fit(self.taught & ~own, self.good_taught & (fold_good != part), fold != part)
            of_prose[fold == part] = model.decision_function(self.prose[fold == part])
            of_good[fold_good == part] = model.decision_function(self.good[fold_good == part])
            of_hand += model.decision_function(self.spam[own]) / 3
        return of_hand, of_good, of_prose


def say(evidence: Evidence, hand: str) -> None:
    """Two lines of a hand."""
    of_hand, of_good, of_prose = evidence.without(hand)
    kinds = evidence.kinds[evidence.hands == hand]
    real = ~np.isin(evidence.files, NOISY)
    for name, limit in (("prose", float(np.quantile(of_prose[real], 1 - FALSE_ALARMS))), ("rule", LIMIT)):
        found = [
            f"{kind} {(of_hand[kinds == kind] > limit).mean():6.1%} of {(kinds == kind).sum():4}"
            for kind in np.unique(kinds)
        ]
        taught = evidence.good_taught
        print(
            f"{hand:6} {name:5} {limit:5.2f}: {', '.join(found)}; wrongly: good near spam {(of_good[taught] > limit).mean():5.1%}, "
            f"the tests' {(of_good[~taught] > limit).mean():5.1%}, prose {(of_prose[real] > limit).mean():.2%}",
            flush=True,
        )
    if hand in TEST:
        print(f"prose above {LIMIT} by file: {by_file(evidence, of_prose)}")


def by_file(evidence: Evidence, scores: npt.NDArray[np.float64]) -> str:
    """What part of each file is above the rule's limit."""
    return ", ".join(
        f"{name} {(scores[evidence.files == name] > LIMIT).mean():.2%}" for name in np.unique(evidence.files)
    )


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("CORPUS_JA_DATA", str(HERE.parent.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(default), help="the shared data")
    parser.add_argument("--write", action="store_true", help="write the model of all hands but the tests'")
    parser.add_argument("--hands", nargs="*", help="measure these only (default: all, none with --write)")
    asked = parser.parse_args()
    if not (asked.data / "prose_ja").is_dir():
        print(f"{asked.data}/prose_ja is not there; say where the shared data is with --data DIR.", file=sys.stderr)
        return 1
    evidence = Evidence([record for record in read(TEXTS) if len(record["text"]) > SHORTEST], asked.data)
    print(
        f"spam: {evidence.taught.sum()} texts taught, {(~evidence.taught).sum()} tests'; good near it: {evidence.good_taught.sum()} "
        f"and {(~evidence.good_taught).sum()}; prose: {len(evidence.files)}; {len(evidence.grams)} n-grams"
    )
    chosen = asked.hands if asked.hands is not None else [] if asked.write else sorted(set(evidence.hands.tolist()))
    for hand in chosen:
        say(evidence, hand)
    if asked.write:
        model = evidence.fit(evidence.taught, evidence.good_taught, np.ones(len(evidence.files), dtype=bool))
        print(f"taught prose above {LIMIT}: {by_file(evidence, model.decision_function(evidence.prose))}")
        pairs = zip(evidence.grams, model.coef_[0], strict=True)
        weights = {gram: round(UNIT * weight) for gram, weight in pairs}
        lines = [HEADING, f"\t{round(UNIT * model.intercept_[0])}"]
        lines += [f"{gram}\t{weight}" for gram, weight in weights.items() if weight]
        WRITTEN.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{WRITTEN}: {len(lines) - 2} n-grams, {WRITTEN.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
