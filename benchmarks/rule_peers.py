"""The rule sets that benchmarks/rules.py compares with, run by their own tools; never in our environment.

    PYTHON benchmarks/rule_peers.py hojichar|datatrove DOCUMENTS.jsonl first|all

DOCUMENTS has `text` a line. Every document is judged on its own: `first` stops at the first filter that drops it, as
the tools do by default; `all` asks every filter, as we do, so that one sees what each would drop. Prints one line of
JSON: wall and processor seconds (imports, models and dictionaries are loaded before the clock starts, and a few
documents are judged), and a truth a document: is it kept?
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

WARM_UP = 10
"""Documents judged before the clock starts."""


def hojichar(*, every: bool) -> Callable[[str], bool]:
    """HojiChar's Japanese filters with their defaults, without the noun share and language (models of their own)."""
    from hojichar import Document
    from hojichar.filters import document_filters as filters

    skip = not every
    chosen = [
        filters.AcceptJapanese(skip_rejected=skip),
        filters.DiscardRareKuten(skip_rejected=skip),
        filters.DiscardBBSComments(skip_rejected=skip),
        filters.DiscardAds(skip_rejected=skip),
        filters.DiscardAdultContentJa(skip_rejected=skip),
        filters.DiscardAdultContentEn(skip_rejected=skip),
        filters.DiscardDiscriminationContentJa(skip_rejected=skip),
        filters.DiscardViolenceContentJa(skip_rejected=skip),
        filters.CharRepetitionRatioFilter(skip_rejected=skip),
        filters.WordRepetitionRatioFilter(skip_rejected=skip),
        filters.DiscardTooManySpecialToken(skip_rejected=skip),
        filters.SingleCharacterRepetitionFilter(skip_rejected=skip),
        filters.DiscardTooManyEndingEllipsis(skip_rejected=skip),
        filters.DiscardTooShortLines(skip_rejected=skip),
    ]

    def keeps(text: str) -> bool:
        document = Document(text)
        rejected = False
        for one in chosen:
            if skip and document.is_rejected:
                return False
            document.is_rejected = False
            document = one.apply(document)
            rejected |= document.is_rejected
        return not rejected

    return keeps


def datatrove(*, every: bool) -> Callable[[str], bool]:
    """The filters of FineWeb-2's jpn_Jpan with its limits, without the language."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
    from loguru import logger

    logger.remove()
    language = "jpn"
    chosen = [
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
            language=language, line_punct_thr=0.096, short_line_thr=999, char_duplicates_ratio=0.1, new_line_ratio=0.13
        ),
        GopherQualityFilter(
            language=language,
            min_avg_word_length=1,
            max_avg_word_length=6,
            max_non_alpha_words_ratio=0.759,
            stop_words=list("のにをはたてがとで年し・月れさ"),
        ),
    ]

    def keeps(text: str) -> bool:
        document = Document(text=text, id="x")
        if every:
            return all([one.filter(document) is True for one in chosen])  # noqa: C419 - none is left unasked
        return all(one.filter(document) is True for one in chosen)

    return keeps


def main() -> None:
    """Judge the documents and print what they cost and who stays."""
    judge = {"hojichar": hojichar, "datatrove": datatrove}[sys.argv[1]](every=sys.argv[3] == "all")
    lines = Path(sys.argv[2]).read_text(encoding="utf-8").split("\n")
    texts = [json.loads(line)["text"] for line in lines if line]
    for text in texts[:WARM_UP]:
        judge(text)
    began, cpu = time.perf_counter(), time.process_time()
    kept = [judge(text) for text in texts]
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "kept": kept}))


if __name__ == "__main__":
    main()
