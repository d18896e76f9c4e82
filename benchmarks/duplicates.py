"""Are duplicates and evaluation items found, and only they? Recall with known truth, all pairs, peers, speed, memory.

    .venv/bin/python benchmarks/duplicates.py recall       # pairs of known Jaccard, 20 to 200,000 characters
    .venv/bin/python benchmarks/duplicates.py pairs        # 3,000 documents beside all pairs, and beside peers
    .venv/bin/python benchmarks/duplicates.py speed        # signatures, and the whole stage from a build's records
    .venv/bin/python benchmarks/duplicates.py gather       # five million signatures through every gathering task
    .venv/bin/python benchmarks/duplicates.py evaluation   # JGLUE's items in four disguises, and innocent documents

All with the project's defaults (20 bands of 8 rows, 0.8). The truth of `recall` is computed on sets of Python strings
over the same normal form and capped text, by none of the code that is tested. Peers run where `--datatrove` and
`--text-dedup` name an interpreter that has them. Each part ends in its promises; the exit status counts those that
fail.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import zstandard

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("CORPUS_JA_DATA") or REPOSITORY.parent / "shared" / "data")
TARGETS = ((0.25, 0.35), (0.45, 0.55), (0.65, 0.75), (0.8, 0.85), (0.85, 0.9), (0.9, 0.95), (0.95, 1.0))
BINS = (0.0, 0.4, 0.6, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
THRESHOLD = 0.8

Promises = list[tuple[str, bool]]


def documents(*folders: str) -> Iterator[tuple[str, str]]:
    """Id and text of the shared data's documents."""
    for folder in folders:
        for path in sorted((DATA / folder).glob("*.jsonl.zst")):
            with zstandard.open(path, "rb") as file:
                for number, line in enumerate(file.read().split(b"\n")):
                    if line:
                        record = json.loads(line)
                        text = record.get("text") or record.get("content") or ""
                        yield f"{path.name}#{number}", text


# -------------------------------------------------------------------------------------------------------------- recall


def normal_by_python(text: str) -> str:
    """The normal form, by Python's own tables: NFKC, lower case, letters, marks and digits."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return unicodedata.normalize("NFC", "".join(c for c in folded if unicodedata.category(c)[0] in "LMN"))


def jaccard_by_python(a: str, b: str) -> float:
    """The Jaccard of the character 5-grams of two texts, capped, as sets of strings."""
    left, right = ({text[at : at + 5] for at in range(min(len(text), 200_000) - 4)} for text in (a, b))
    return len(left & right) / len(left | right) if left or right else 0.0


@dataclass(frozen=True, slots=True)
class Chunks:
    """A stream of text of one language, cut as asked; nothing comes twice until all of it has come."""

    text: str
    chance: random.Random
    place: list[int]

    @classmethod
    def of(cls, folder: str, seed: int) -> "Chunks":
        """All documents of a folder end to end, in a drawn order."""
        chance = random.Random(seed)  # noqa: S311 - no secret is made of it
        texts = [text for _, text in documents(folder)]
        chance.shuffle(texts)
        return cls("\n".join(texts), chance, [0])

    def take(self, length: int) -> str:
        """The next characters of the stream."""
        begin = self.place[0]
        if begin + length > len(self.text):
            begin = 0
        self.place[0] = begin + length
        return self.text[begin : begin + length]

    def edits(self, length: int, jaccard: float) -> tuple[str, str]:
        """One text, and the same with letters replaced, inserted or taken out here and there."""
        text = self.take(length)
        survive = 2 * jaccard / (1 + jaccard)
        letters = list(text)
        for _ in range(max(1, round(len(text) * (1 - survive**0.2)))):
            at = self.chance.randrange(len(letters))
            kind = self.chance.randrange(3)
            if kind == 0:
                letters[at] = self.chance.choice(self.text)
            elif kind == 1:
                letters.insert(at, self.chance.choice(self.text))
            elif len(letters) > 1:
                del letters[at]
        return text, "".join(letters)

    def insertions(self, length: int, jaccard: float) -> tuple[str, str]:
        """One text, and the same with other text put in at a few places."""
        text = self.take(length)
        places = sorted(self.chance.randrange(len(text)) for _ in range(max(1, len(text) // 2000)))
        extra = max(1, round(len(text) * (1 / jaccard - 1) / len(places)))
        parts, last = [], 0
        for at in places:
            parts += [text[last:at], self.take(extra)]
            last = at
        return text, "".join([*parts, text[last:]])

    def template(self, length: int, jaccard: float) -> tuple[str, str]:
        """Two texts with one opening and ends of their own."""
        own = max(1, round(length * (1 - jaccard) / (1 + jaccard)))
        opening = self.take(max(1, length - own))
        return opening + self.take(own), opening + self.take(own)


def recall(options: argparse.Namespace) -> Promises:
    """Make pairs, bin them by their true Jaccard, and look at what leaves and for what it leaves."""
    from corpus_ja.stages import clusters, exact, minhash

    settings = minhash.NearDuplicates()
    promises: Promises = []
    wrong_total = 0
    for language, folder in (("ja", "prose_ja"), ("en", "prose_en")):
        chunks = Chunks.of(folder, seed=1)
        texts: list[str] = []
        made: list[str] = []
        for low, high in TARGETS:
            for number in range(options.pairs):
                # Nine of ten are 20 to 5,000 characters, one is 5,000 to 200,000.
                least, most = (20, 5000) if number % 10 else (5000, 200_000)
                length = int(least * (most / least) ** chunks.chance.random())
                kind: Callable[[int, float], tuple[str, str]] = (chunks.edits, chunks.insertions, chunks.template)[
                    number % 3
                ]
                texts += kind(length, low + (high - low) * chunks.chance.random())
                made.append(kind.__name__)
        normal = exact.normal_form(pl.Series(texts))
        forms = normal.to_list()
        other = sum(form != normal_by_python(text) for form, text in zip(forms, texts, strict=True))
        truth = np.array([jaccard_by_python(a, b) for a, b in zip(forms[::2], forms[1::2], strict=True)])
        same = np.array([a == b for a, b in zip(forms[::2], forms[1::2], strict=True)])
        length_of = normal.str.len_chars()
        count = len(texts)
        rank = clusters.preference(
            pl.Series([False] * count), pl.Series([0] * count), length_of, pl.Series([f"{n:07d}" for n in range(count)])
        )
        group = clusters.groups(exact.document_keys(pl.Series(texts), normal))
        leads = clusters.to_compare(group, rank)
        bands = minhash.signatures(normal, settings)
        bands[~leads] = 0
        proposed = clusters.unique_pairs(
            [
                clusters.candidate_pairs(np.ascontiguousarray(bands[:, band]), rank, 8).pairs
                for band in range(bands.shape[1])
            ]
        )
        similarity = minhash.similarity(normal, settings, proposed)
        result = clusters.survivors(rank, group, proposed[similarity >= settings.threshold].astype(np.int64))
        left = result.kind > 0
        found = left[::2] | left[1::2]
        wrong = 0
        for gone in np.flatnonzero(left):
            stays = result.representative[gone]
            if forms[gone] != forms[stays] and jaccard_by_python(forms[gone], forms[stays]) < 0.75:
                wrong += 1
        wrong_total += wrong
        print(
            f"\n{language}: {len(truth):,} pairs, {sum(map(len, texts)) / 1e6:,.0f} million characters; "
            f"removed under 0.75: {wrong}; "
            f"{other} texts have another normal form by Python's tables"
        )
        print(
            f"{'Jaccard':>14}{'pairs':>8}{'found':>8}{'share':>9}{'formula':>9}   found by edits, insertions, template"
        )
        for low, high in pairwise(BINS):
            inside = (truth >= low) & ((truth < high) | (high == 1.0)) & ~same
            if not inside.any():
                continue
            expected = np.mean(
                [minhash.found(value, *settings.shape) if value >= settings.threshold else 0 for value in truth[inside]]
            )
            kinds = []
            for kind_name in ("edits", "insertions", "template"):
                own = inside & (np.array(made) == kind_name)
                kinds.append(f"{int(found[own].sum()):,}/{int(own.sum()):,}")
            share = found[inside].mean()
            print(
                f"{low:>7.2f}-{high:<6.2f}{inside.sum():>8,}{found[inside].sum():>8,}{share:>9.4f}{expected:>9.4f}   "
                + "  ".join(kinds)
            )
            promised = {0.8: 0.95, 0.85: 0.97, 0.9: 0.995, 0.95: 0.995}.get(low)
            if promised is not None:
                promises.append(
                    (
                        f"{language}: recall {share:.4f} of pairs in [{low}, {high}), at least {promised}",
                        bool(share >= promised),
                    )
                )
    promises.append((f"{wrong_total} documents left for one of a Jaccard under 0.75, none may", wrong_total == 0))
    return promises


# --------------------------------------------------------------------------------------------------------------- pairs


def three_thousand() -> tuple[list[str], list[str]]:
    """All documents of noisy/ and oscar/ (pages that repeat), and others by draw, in a drawn order."""
    chance = random.Random(3)  # noqa: S311 - no secret is made of it
    pages = list(documents("noisy", "oscar"))
    others = list(documents("prose_ja", "prose_en"))
    chosen = pages + chance.sample(others, 3000 - len(pages))
    chance.shuffle(chosen)
    return [name for name, _ in chosen], [text for _, text in chosen]


def pairs(options: argparse.Namespace) -> Promises:
    """Compare what leaves with all pairs, and with what peers remove of the same documents."""
    from corpus_ja.stages import clusters, exact, minhash

    settings = minhash.NearDuplicates()
    names, texts = three_thousand()
    size = sum(len(text.encode()) for text in texts)
    count = len(texts)
    began, cpu = time.perf_counter(), time.process_time()
    series = pl.Series(texts)
    normal = exact.normal_form(series)
    group = clusters.groups(exact.document_keys(series, normal))
    rank = clusters.preference(
        pl.Series([False] * count), pl.Series([0] * count), normal.str.len_chars().cast(pl.Int64), pl.Series(names)
    )
    leads = clusters.to_compare(group, rank)
    bands = minhash.signatures(normal, settings)
    bands[~leads] = 0
    proposed = clusters.unique_pairs(
        [
            clusters.candidate_pairs(np.ascontiguousarray(bands[:, band]), rank, 8).pairs
            for band in range(bands.shape[1])
        ]
    )
    near = proposed[minhash.similarity(normal, settings, proposed) >= settings.threshold].astype(np.int64)
    ours = clusters.survivors(rank, group, near)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    memory = int(Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) * 1024

    sets = minhash.shingle_sets(normal, settings)
    sizes = np.diff(sets.offsets)
    first, second = np.triu_indices(count, 1)
    # |A & B| / |A | B| is at most the smaller set over the larger one; 0.5 is far below all that is asked.
    possible = np.minimum(sizes[first], sizes[second]) >= 0.5 * np.maximum(sizes[first], sizes[second])
    every = np.stack([first[possible], second[possible]], axis=1)
    similarity = np.concatenate([minhash.jaccard(sets, part) for part in np.array_split(every, 50)])
    truly = every[similarity >= settings.threshold]
    reference = clusters.survivors(rank, group, truly[leads[truly[:, 0]] & leads[truly[:, 1]]])
    distinct = truly[group[truly[:, 0]] != group[truly[:, 1]]]
    predicted = sum(
        1 - minhash.found(value, *settings.shape) for value in similarity[similarity >= settings.threshold] if value < 1
    )
    differ = int((ours.representative != reference.representative).sum())
    print(
        f"{count:,} documents, {size / 1e6:.1f} MB: {len(truly):,} pairs at {settings.threshold} or more, "
        f"{len(distinct):,} of them not the same text"
    )
    print(
        f"removed: all pairs {int((reference.kind > 0).sum()):,}, ours {int((ours.kind > 0).sum()):,}; "
        f"documents with another survivor: {differ}"
    )
    print(f"misses that the bands predict: {predicted:.2f}")
    best = np.zeros(count)
    np.maximum.at(best, every[:, 0], similarity)
    np.maximum.at(best, every[:, 1], similarity)
    best[group != np.arange(count)] = 1.0
    removed = {"ours": ours.kind > 0, "all pairs": reference.kind > 0}
    print(f"\n{'':<12}{'removed':>8}{'pairs found':>12}{'wrong':>7}{'seconds':>9}{'cpu s':>8}{'MB':>8}")
    rows: list[tuple[str, dict[str, float] | None]] = [
        ("all pairs", None),
        ("ours", {"seconds": wall, "cpu_seconds": cpu, "memory": memory}),
    ]
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    listed = work / "documents" / "documents.jsonl"
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text(
        "".join(
            json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n"
            for name, text in zip(names, texts, strict=True)
        ),
        encoding="utf-8", errors="replace",
    )  # fmt: skip
    for peer, python in (("datatrove", options.datatrove), ("text-dedup", options.text_dedup)):
        if python is None:
            continue
        script = REPOSITORY / "benchmarks" / "duplicate_peers.py"
        done = subprocess.run([python, script, peer, listed, work / peer], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{peer}: failed ({done.stderr.strip().splitlines()[-1:]})")
            continue
        kept = set(json.loads((work / peer / "kept.json").read_text(encoding="utf-8")))
        removed[peer] = np.array([name not in kept for name in names])
        rows.append((peer, json.loads(done.stdout.splitlines()[-1])))
    for name, cost in rows:
        gone = removed[name]
        caught = (gone[truly[:, 0]] | gone[truly[:, 1]]).mean()
        wrong = int((gone & (best < 0.75)).sum())
        spent = f"{cost['seconds']:>9.1f}{cost['cpu_seconds']:>8.1f}{cost['memory'] / 1e6:>8,.0f}" if cost else ""
        print(f"{name:<12}{int(gone.sum()):>8,}{caught:>12.4f}{wrong:>7}{spent}")
    print(
        "pairs found: of a pair at 0.8 or more, at least one leaves; wrong: leaves, though no document is within 0.75"
    )
    return [
        (
            f"{differ} documents have another survivor than by all pairs, the bands predict {predicted:.1f} misses",
            differ <= 2 * predicted + 3,
        ),
        ("nothing left without a document within 0.75 of it", not (removed["ours"] & (best < 0.75)).any()),
    ]


# --------------------------------------------------------------------------------------------------------------- speed


def speed(options: argparse.Namespace) -> Promises:
    """Signatures on one core, and the stage as a build's records have it."""
    from corpus_ja.stages import exact, minhash

    settings = minhash.NearDuplicates()
    texts = [text for _, text in documents("prose_ja")]
    series = pl.Series(texts)
    size = int(series.str.len_bytes().sum())
    exact.normal_form(series.head(10))
    minhash.signatures(exact.normal_form(series.head(10)), settings)
    results = {}
    began = time.process_time()
    normal = exact.normal_form(series)
    results["normal form"] = time.process_time() - began
    began = time.process_time()
    exact.document_keys(series, normal)
    results["keys"] = time.process_time() - began
    began = time.process_time()
    minhash.signatures(normal, settings)
    results["bands"] = time.process_time() - began
    began = time.process_time()
    minhash.shingle_sets(normal, settings)
    results["sets that verify"] = time.process_time() - began
    print(f"{len(texts):,} documents, {size / 1e6:.1f} MB of Japanese text; processor seconds")
    for name, seconds in results.items():
        print(f"  {name:<18}{seconds:>7.2f} s {size / seconds / 1e6:>8.0f} MB/s")
    whole = sum(results[name] for name in ("normal form", "keys", "bands"))
    promises = [
        (f"signatures with the normal form and keys {size / whole / 1e6:.0f} MB/s, at least 50", size / whole >= 50e6)
    ]
    if options.build is not None:
        manifest = json.loads((options.build / "manifest.json").read_text(encoding="utf-8"))
        read = sum(source["read"]["bytes"] for source in manifest["sources"].values())
        spent = {"gathered": 0.0, "spread": 0.0, "signatures": 0.0}
        for record in manifest["stages"]:
            if record["stage"] == "duplicates":
                spent["gathered" if record["source"] == "gathered" else "spread"] += record["cpu_seconds"]
            if record["stage"] == "measures":
                spent["signatures"] += record["details"]["cpu_seconds"].get("signatures", 0.0)
        total = sum(spent.values())
        print(
            f"build of {read / 1e6:.0f} MB, processor seconds: "
            + ", ".join(f"{name} {value:.2f}" for name, value in spent.items())
        )
        promises.append(
            (f"the whole duplicates stage {read / total / 1e6:.0f} MB/s a core, at least 20", read / total >= 20e6)
        )
    return promises


# -------------------------------------------------------------------------------------------------------------- gather


def gather(options: argparse.Namespace) -> Promises:
    """Made-up signatures of many documents through every gathering task, each in a process of its own."""
    if options.step is not None:
        _step(options.step, options.documents, options.work)
        return []
    peaks: dict[str, tuple[int, float]] = {}
    for step in ("write", "buckets", "pairs", "verify", "survivors"):
        command = [
            sys.executable,
            __file__,
            "gather",
            "--documents",
            str(options.documents),
            "--work",
            str(options.work),
            "--step",
            step,
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        if step not in {"write", "verify"}:
            peak, seconds = done.stdout.split()[-2:]
            peaks[step] = int(peak), float(seconds)
            print(f"  {step:<10}{int(peak) / 1e9:>6.2f} GB {float(seconds):>8.1f} s of processor")
    worst = max(peak for peak, _ in peaks.values())
    return [(f"{options.documents:,} signatures: {worst / 1e9:.2f} GB at most, at most 4", worst <= 4e9)]


BANDS = 20
A_PART = 50_000


def _step(step: str, count: int, folder: Path) -> None:
    """One step: writes the sidecars, or runs a gathering task and prints its peak memory and processor seconds."""
    from corpus_ja.executors import PeakMemory
    from corpus_ja.storage.shards import write_frame
    from corpus_ja.tasks import matching

    names = [f"{number:05d}" for number in range(count // A_PART)]
    parts = tuple(
        matching.Part(
            source="source",
            part=name,
            rows=A_PART,
            documents=folder / "documents" / f"{name}.parquet",
            signatures=folder / "signatures" / f"{name}.parquet",
            rules=folder / "rules" / f"{name}.parquet",
            chance=folder / "chance" / f"{name}.parquet",
            mode="near",
            priority=0,
            heldout=2**54,
        )
        for name in names
    )
    listed = matching.write_parts(folder / "parts.json", parts)
    columns = ("key_low", *(f"band_{band}" for band in range(BANDS)))
    if step == "write":
        chance = np.random.default_rng(1)
        ones = pl.Series([1], dtype=pl.UInt32).new_from_index(0, A_PART)
        alive = pl.Series([None], dtype=pl.String).new_from_index(0, A_PART)
        for number, part in enumerate(parts):
            ids = pl.Series([f"source/document-{number * A_PART + row:012d}" for row in range(A_PART)])
            keys = {
                name: chance.integers(1, 2**63, A_PART, dtype=np.uint64) for name in ("key_high", "key_low", "url_key")
            }
            bands = {}
            for band in range(BANDS):
                value = chance.integers(1, 2**63, A_PART, dtype=np.uint64)
                # A third has a partner in every band; one in a hundred stands in a bucket of thousands.
                value[1 : A_PART // 3 : 2] = value[0 : A_PART // 3 - 1 : 2]
                value[-A_PART // 100 :] = 7 + band
                bands[f"band_{band}"] = value
            write_frame(part.documents, pl.DataFrame({"id": ids}))
            write_frame(part.signatures, pl.DataFrame({**keys, "length": ones * 1000, "head": ids, **bands}))
            write_frame(part.rules, pl.DataFrame({"dropped_by": alive}))
            write_frame(part.chance, pl.DataFrame({"validation": chance.integers(0, 2**63, A_PART, dtype=np.uint64)}))
        return
    if step == "verify":
        for path in sorted(folder.glob("pairs-00-[0-9]*.npy")):
            found = np.random.default_rng(2).random(len(matching.load_array(path)))
            matching.save_array(path.with_name(path.name.replace("pairs", "verified")), found)
        return
    began = time.process_time()
    with PeakMemory() as peak:
        if step == "buckets":
            for column in columns:
                matching.FindBuckets(listed, column, folder).run()
        elif step == "pairs":
            report = matching.PairUp(listed, columns, 8, folder / "compared", folder).run()
            (folder / "chunks").write_text(str(report["chunks"]), encoding="ascii")
        else:
            chunks = int((folder / "chunks").read_text(encoding="ascii"))
            matching.Decide(listed, (chunks,), THRESHOLD, folder).run()
    print(peak.bytes, time.process_time() - began)


# ---------------------------------------------------------------------------------------------------------- evaluation


def evaluation(options: argparse.Namespace) -> Promises:
    """All JGLUE valid and test items with a usable part in four disguises, and what innocent documents lose."""
    del options
    from corpus_ja.stages import decontaminate
    from corpus_ja.stages.exact import normal_form
    from corpus_ja.storage.evaluation import read_jglue

    items = []
    for file in read_jglue(DATA / "jglue"):
        assert file.task is not None, "JGLUE's files have a task each"
        items += decontaminate.jglue_items(
            file.task, file.records, f"{file.task}/{Path(file.file).name.split('-')[0]}", file.file
        )
    index = decontaminate.build_index(items, decontaminate.Decontamination())
    unprotected = set(index.unprotected)
    usable = [item for item in items if item.name not in unprotected]
    print(f"{len(items):,} items, {len(unprotected):,} of them unprotected")
    filler = "この町の図書館は駅から歩いて五分のところにあり、休みの日には多くの人が本を借りに来る。"

    def whole(item: decontaminate.Item) -> str:
        return "\n".join([*item.parts, *(item.answers[:1] if len(item.parts) == 1 else ())])

    def wide(text: str) -> str:
        return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)

    def otherwise(text: str) -> str:
        return text.replace("。", "．").replace("、", "，").replace("？", " ?! ").replace("\n", " ／ ")

    disguises: tuple[tuple[str, float, Callable[[str], str]], ...] = (
        ("verbatim", 0.99, str),
        ("in another width", 0.99, wide),
        ("with other punctuation", 0.98, otherwise),
        ("inside a longer page", 0.99, lambda text: filler * 3 + text + filler * 3),
    )
    promises: Promises = []
    for name, least, disguise in disguises:
        text = pl.Series([disguise(whole(item)) for item in usable])
        found = decontaminate.overlaps(text, normal_form(text), index)["evaluation_items"]
        share = sum(item.name in own for item, own in zip(usable, found, strict=True)) / len(usable)
        promises.append((f"items {name}: {share:.4f} found of {len(usable):,}, at least {least}", share >= least))
    names, texts = zip(*documents("prose_ja", "prose_en"), strict=True)
    text = pl.Series(texts)
    normal = normal_form(text)
    began = time.process_time()
    found_in = decontaminate.overlaps(text, normal, index)
    seconds = time.process_time() - began
    dropped = decontaminate.judge(found_in).is_not_null()
    print(
        f"{len(texts):,} good documents at {int(text.str.len_bytes().sum()) / seconds / 1e6:.0f} MB/s; "
        f"meeting a context: {int((found_in['context_items'].list.len() > 0).sum())}; dropped:"
    )
    for row in dropped.arg_true():
        print(
            f"  {names[row]} {' '.join(texts[row].split())[:30]} "
            f"({', '.join(found_in['evaluation_items'][row].head(3))})"
        )
    promises.append(
        (f"{dropped.sum()} of {len(texts):,} good documents dropped, at most 0.1%", dropped.sum() <= 0.001 * len(texts))
    )
    return promises


# ---------------------------------------------------------------------------------------------------------------- main

PARTS: dict[str, Callable[[argparse.Namespace], Promises]] = {
    "recall": recall, "pairs": pairs, "speed": speed, "gather": gather, "evaluation": evaluation,
}  # fmt: skip


def main() -> None:
    """Run one part, and say for every promise whether it holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument(
        "--pairs", type=int, default=600, help="recall: pairs made for each range of Jaccard and language"
    )
    parser.add_argument("--documents", type=int, default=5_000_000, help="gather: how many")
    parser.add_argument("--build", type=Path, help="speed: a build whose records are read")
    parser.add_argument("--datatrove", help="pairs: a Python that has it (benchmarks/peers.txt)")
    parser.add_argument("--text-dedup", help="pairs: a Python that has text-dedup 0.4.0")
    parser.add_argument("--work", type=Path, default=Path("builds") / "duplicates", help="where files go")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part != "gather" and not DATA.is_dir():
        sys.exit(f"The shared data is not at {DATA}; set CORPUS_JA_DATA to its folder.")
    promises = PARTS[options.part](options)
    for sentence, holds in promises:
        print(f"{'holds' if holds else 'FAILS'}: {sentence}")
    sys.exit(sum(not holds for _, holds in promises))


if __name__ == "__main__":
    main()
