"""The pipelines that benchmarks/build.py compares with; runs with what benchmarks/peers.txt installs, never in ours.

    .peers/bin/python benchmarks/peers.py datatrove DOCUMENTS.jsonl WORK TOKENIZER.json LID.ftz

Prints one line of JSON: documents, kept, bytes (UTF-8, read), tokens, and the seconds of this process, wall and
processor. Imports, models and dictionaries are loaded before the clock starts.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WARM_UP = 40
"""Documents of the first, untimed run: enough that some outlive every filter."""


def datatrove(documents: Path, work: Path, tokenizer: Path, model: Path) -> dict[str, int]:
    """Datatrove as FineWeb-2 uses it on Japanese (its published limits), then MinHash, then tokens; one worker."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.base import PipelineStep
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets
    from datatrove.pipeline.filters import (
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        LanguageFilter,
    )
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.lid import FT176LID
    from loguru import logger

    logger.remove()
    FT176LID.MODEL_URL = f"file://{model}"  # its own model of the same name, compressed; it would be downloaded
    language = "jpn"
    shutil.rmtree(work, ignore_errors=True)

    def run(*steps: PipelineStep, tasks: int = 1, logs: str) -> Any:
        return LocalPipelineExecutor(list(steps), tasks=tasks, workers=1, logging_dir=str(work / "logs" / logs)).run()

    run(
        JsonlReader(str(documents.parent), glob_pattern=documents.name),
        LanguageFilter(languages=["ja"], language_threshold=0.65),
        GopherRepetitionFilter(
            language=language,
            dup_line_frac=0.328,
            dup_para_frac=None,
            dup_line_char_frac=None,
            dup_para_char_frac=None,
            top_n_grams=((2, 0.239), (3, 0.196), (4, 0.172)),
            dup_n_grams=((5, 0.243), (6, 0.225), (7, 0.207), (8, 0.190), (9, 0.175), (10, 0.159)),
        ),
        FineWebQualityFilter(
            language=language,
            line_punct_thr=0.096,
            short_line_thr=999,
            char_duplicates_ratio=0.1,
            new_line_ratio=0.13,
        ),
        GopherQualityFilter(
            language=language,
            min_avg_word_length=1,
            max_avg_word_length=6,
            max_non_alpha_words_ratio=0.759,
            stop_words=list("のにをはたてがとで年し・月れさ"),
        ),
        JsonlWriter(str(work / "filtered"), compression=None),
        logs="filters",
    )
    run(
        JsonlReader(str(work / "filtered")),
        MinhashDedupSignature(str(work / "signatures"), language=language),
        logs="signatures",
    )
    run(MinhashDedupBuckets(str(work / "signatures"), str(work / "buckets")), tasks=14, logs="buckets")
    run(MinhashDedupCluster(str(work / "buckets"), str(work / "remove")), logs="clusters")
    run(
        JsonlReader(str(work / "filtered")),
        MinhashDedupFilter(str(work / "remove")),
        DocumentTokenizer(str(work / "tokens"), str(tokenizer), eos_token="<|endoftext|>", seed=1),  # noqa: S106
        logs="tokens",
    )
    index = sum(path.stat().st_size for path in (work / "tokens").glob("*.ds.index"))
    tokens = sum(path.stat().st_size for path in (work / "tokens").glob("*.ds")) // 2
    return {"kept": index // 8, "tokens": tokens}


def hojichar(documents: Path, work: Path, tokenizer: Path, _: Path) -> dict[str, int]:
    """HojiChar's Japanese filters and deduplication, the `tokenizers` library, and rows of 1,024 tokens."""
    import numpy as np
    from hojichar import Compose
    from hojichar.filters import deduplication
    from hojichar.filters import document_filters as filters
    from tokenizers import Tokenizer

    compose = Compose(
        [
            filters.JSONLoader(key="text"),
            filters.DocumentNormalizer(),
            filters.AcceptJapanese(),
            filters.DocumentLengthFilter(min_doc_len=200),
            filters.DiscardAdultContentJa(),
            filters.DiscardViolenceContentJa(),
            filters.DiscardDiscriminationContentJa(),
            filters.DiscardAds(),
            filters.DiscardBBSComments(),
            filters.DiscardRareKuten(),
            filters.DiscardTooShortLines(),
            filters.DiscardTooManyEndingEllipsis(),
            filters.SingleCharacterRepetitionFilter(),
            filters.HeaderFooterTagsRemover(),
            filters.MaskPersonalInformation(),
            deduplication.GenerateDedupLSH(),
            deduplication.InlineDeduplicator(),
        ]
    )
    encoder = Tokenizer.from_file(str(tokenizer))
    end = int(encoder.token_to_id("<|endoftext|>") or 0)
    flat: list[int] = []
    kept = 0
    batch: list[str] = []

    def encode() -> None:
        for encoding in encoder.encode_batch_fast(batch):
            flat.extend(encoding.ids)
            flat.append(end)
        batch.clear()

    with documents.open(encoding="utf-8") as file:
        for line in file:
            text = compose(line)
            if text:
                kept += 1
                batch.append(text)
                if len(batch) == 1000:
                    encode()
    encode()
    work.mkdir(parents=True, exist_ok=True)
    rows = np.array(flat[: len(flat) // 1024 * 1024], dtype=np.uint16).reshape(-1, 1024)
    np.save(work / "rows.npy", rows)
    return {"kept": kept, "tokens": len(flat)}


PEERS: dict[str, Callable[[Path, Path, Path, Path], dict[str, int]]] = {"datatrove": datatrove, "hojichar": hojichar}


def main() -> None:
    """Run one peer, first on a few documents and then on the clock."""
    name, documents, work, tokenizer, model = sys.argv[1], *map(Path, sys.argv[2:6])
    warm_up = work / "warm-up" / "documents.jsonl"
    warm_up.parent.mkdir(parents=True, exist_ok=True)
    lines = [line for line in documents.read_text(encoding="utf-8").split("\n") if line]
    warm_up.write_text("\n".join(lines[:WARM_UP]) + "\n", encoding="utf-8")
    PEERS[name](warm_up, work / "warmed", tokenizer, model)
    began, cpu = time.perf_counter(), time.process_time()
    result = PEERS[name](documents, work / "measured", tokenizer, model)
    seconds = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
    size = sum(len(json.loads(line)["text"].encode()) for line in lines)
    print(json.dumps({**seconds, **result, "documents": len(lines), "bytes": size}))


if __name__ == "__main__":
    main()
