"""Write the quickstart's data in the four real shapes from the readable texts in `text/`.

    python recipes/quickstart/write.py        # rewrites data/, labels.jsonl and tokenizer/

`text/*.txt` is where the documents are read and edited (the format: a line `=== ID`, header lines, a blank line, the
text); `data/` is what the build reads: a Wikipedia-like Parquet file, OSCAR-2301 records, a cosmopedia-like Parquet
file, SlimPajama-like JSON lines. `labels.jsonl` says what each document was written as, for the test that asks what
became of it. A few broken lines are planted here, since a text file cannot hold them.
"""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import zstandard

HERE = Path(__file__).resolve().parent
SOURCES = ("wikipedia", "oscar", "cosmopedia", "slimpajama")


@dataclass
class Document:
    """One document of `text/`: its header and its text, copies resolved."""

    name: str
    source: str
    header: dict[str, str]
    edits: list[tuple[str, str]] = field(default_factory=list)
    text: str = ""


def read_texts() -> dict[str, Document]:
    """All documents by id; a `copy_of` takes the other's text with its edits made."""
    documents: dict[str, Document] = {}
    for source in SOURCES:
        content = (HERE / "text" / f"{source}.txt").read_text(encoding="utf-8")
        for block in ("\n" + content).split("\n=== ")[1:]:
            head, _, text = block.partition("\n\n")
            name, *lines = head.split("\n")
            document = Document(name.strip(), source, {}, text=text.strip("\n"))
            for line in lines:
                key, _, value = line.partition(":")
                if key == "edit":
                    old, _, new = value.strip().partition(" => ")
                    document.edits.append((old, new))
                else:
                    document.header[key] = value.strip()
            documents[document.name] = document
    for document in documents.values():
        if origin := document.header.get("copy_of"):
            document.text = documents[origin].text
            document.header = {**documents[origin].header, **document.header}
            for old, new in document.edits:
                if document.text.count(old) != 1:
                    raise ValueError(f"{document.name}: {old!r} does not stand once in {origin}")
                document.text = document.text.replace(old, new)
    return documents


def _oscar(document: Document, number: int) -> dict[str, object]:
    lines = document.text.split("\n")
    label = {"chinese": "zh", "korean": "ko", "english": "en"}.get(document.header["label"], "ja")
    short = sum(len(line) <= 100 for line in lines) > len(lines) // 2
    warnings = [name for name, found in (("tiny", len(lines) < 5), ("short_sentences", short)) if found]
    return {
        "content": document.text,
        "warc_headers": {
            "warc-refers-to": f"<urn:uuid:00000000-0000-4000-8000-{number:012d}>",
            "content-type": "text/plain",
            "warc-date": "2022-12-07T03:09:41Z",
            "content-length": str(len(document.text.encode())),
            "warc-target-uri": document.header["url"],
            "warc-type": "conversion",
            "warc-record-id": f"<urn:uuid:{document.name}>",
            "warc-identified-content-language": "jpn",
            "warc-block-digest": "sha1:" + "A" * 32,
        },
        "metadata": {
            # What a crawl's own identification said; that some of these pages are in another language is the point.
            "identification": {"label": "ja", "prob": 0.93 if label == "ja" else 0.61},
            "harmful_pp": None,
            "tlsh": None,
            "quality_warnings": warnings or None,
            "categories": None,
            "sentence_identifications": [{"label": label, "prob": 0.98} if len(line) > 10 else None for line in lines],
        },
    }


def _zst(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(zstandard.ZstdCompressor(level=19).compress(b"".join(line + b"\n" for line in lines)))


def _json(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode()


def write() -> None:
    """Write `data/`, `labels.jsonl` and the tokenizer."""
    documents = read_texts()
    data = HERE / "data"
    data.mkdir(exist_ok=True)
    by_source = {source: [d for d in documents.values() if d.source == source] for source in SOURCES}
    pl.DataFrame(
        [
            {"curid": number, "title": document.header["title"], "text": document.text}
            for number, document in enumerate(by_source["wikipedia"], start=1)
        ]
    ).write_parquet(data / "wikipedia_ja.parquet")
    oscar = [_json(_oscar(document, number)) for number, document in enumerate(by_source["oscar"], start=1)]
    # Planted: a line that breaks off, one that is no object, one without text, one whose text is null, one that is not UTF-8.
    oscar[10:10] = [oscar[3][:200]]
    oscar[20:20] = [b'["not", "an", "object"]', _json({"warc_headers": {}, "metadata": {}})]
    oscar[30:30] = [
        _json({"content": None, "warc_headers": {}, "metadata": {}}),
        '{"content": "文字'.encode("shift_jis") + b'"}',
    ]
    _zst(data / "oscar_ja_part_1.jsonl.zst", oscar)
    pl.DataFrame(
        [
            {
                "prompt": document.header["prompt"],
                "text_token_length": len(document.text.split()),
                "text": document.text,
                "seed_data": document.header["seed"],
                "format": document.header["format"],
                "audience": document.header["audience"],
            }
            for document in by_source["cosmopedia"]
        ]
    ).write_parquet(data / "cosmopedia.parquet")
    slim = [
        _json({"text": document.text, "meta": {"redpajama_set_name": document.header["set"]}})
        for document in by_source["slimpajama"]
    ]
    slim[5:5] = [b'{"text": 42, "meta": {"redpajama_set_name": "RedPajamaC4"}}']
    _zst(data / "slimpajama.jsonl.zst", slim)
    ids = {d.name: f"wikipedia_ja/{number}" for number, d in enumerate(by_source["wikipedia"], start=1)}
    ids |= {d.name: f"oscar_ja/{d.name}" for d in by_source["oscar"]}
    ids |= {d.name: f"cosmopedia/cosmopedia.parquet#{row}" for row, d in enumerate(by_source["cosmopedia"])}
    # The broken line is line 5, so later documents stand one line further down.
    ids |= {
        d.name: f"slimpajama/slimpajama.jsonl.zst#{row + (row >= 5)}" for row, d in enumerate(by_source["slimpajama"])
    }
    labels = [
        {
            "id": ids[d.name],
            "label": d.header["label"],
            "genre": d.header.get("genre"),
            "copy_of": ids.get(d.header.get("copy_of", "")),
        }
        for d in documents.values()
    ]
    (HERE / "labels.jsonl").write_bytes(b"".join(_json(label) + b"\n" for label in labels))
    _train_tokenizer([d.text for d in documents.values() if d.header["label"].startswith("good")])


def _train_tokenizer(texts: list[str]) -> None:
    """A byte-level BPE of 4,096 entries, GPT-2's splitting, trained on the good documents."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    random.Random(0).shuffle(texts)  # noqa: S311 - an order, not a secret
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=4096,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    folder = HERE / "tokenizer"
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>", "model_max_length": 1024}
    (folder / "tokenizer_config.json").write_bytes(_json(config) + b"\n")


if __name__ == "__main__":
    write()
