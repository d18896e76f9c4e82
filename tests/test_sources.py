"""The readers: what is a record, what is set aside and by what name, which files belong, how they are dealt out."""

import gzip
import io
import json
import os
import pickle
import subprocess
import sys
import time
import tracemalloc
import uuid
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpus_ja.errors import SourceError
from corpus_ja.storage.sources import (
    FRAME_COLUMNS,
    SET_ASIDE_COLUMNS,
    Amount,
    Batch,
    Reading,
    SourceFile,
    cut_tasks,
    extra_columns,
    list_files,
    located,
    read_pieces,
    sidecar_file,
    sidecar_ids,
)
from corpus_ja.storage.sources.files import chunks, matches


def read(reading: Reading, base: Path, *, batch_bytes: int = 8_000_000) -> Batch:
    """Everything a reading gives, as one batch; each batch is checked to have the promised columns."""
    files = list_files(reading, base, {})
    reading = located(reading, base)
    extra = extra_columns(files, reading)
    batches = [
        batch
        for task in cut_tasks(files, reading)
        for batch in read_pieces(task, reading, batch_bytes=batch_bytes, extra=extra)
    ]
    for batch in batches:
        assert dict(batch.frame.schema) == {**FRAME_COLUMNS, **extra}
        assert dict(batch.set_aside.schema) == SET_ASIDE_COLUMNS
    empty = Batch(pl.DataFrame(schema={**FRAME_COLUMNS, **extra}), pl.DataFrame(schema=SET_ASIDE_COLUMNS))
    return Batch(
        pl.concat([empty.frame, *(batch.frame for batch in batches)]),
        pl.concat([empty.set_aside, *(batch.set_aside for batch in batches)]),
    )


def lines(*records: object) -> bytes:
    return b"".join(
        (record if isinstance(record, bytes) else json.dumps(record, ensure_ascii=False).encode()) + b"\n"
        for record in records
    )


def reasons(batch: Batch) -> list[tuple[int, str]]:
    return [(row, reason.removeprefix("unreadable/")) for row, reason in batch.set_aside.select("row", "reason").rows()]


def compressed(content: bytes, ending: str) -> bytes:
    return {"": content, ".gz": gzip.compress(content), ".zst": zstandard.compress(content)}[ending]


# ----------------------------------------------------------------------------------------------------------- JSON lines

BROKEN_LINES: list[tuple[object, str]] = [
    (b"{not json", "not_json"),
    (b"[1, 2]", "not_an_object"),
    (b'"text"', "not_an_object"),
    (b"3", "not_an_object"),
    (b"null", "not_an_object"),
    ({"title": "x"}, "no_text"),
    ({"text": None, "id": "n"}, "text_null"),
    ({"text": 3}, "text_not_string"),
    ({"text": ["a"]}, "text_not_string"),
    (b'{"text": "\xff\xfe"}', "invalid_utf8"),
    (b'{"text": "\xed\xa0\x80"}', "invalid_utf8"),
    ({"text": ""}, "empty"),
    ({"text": " 　\n\t"}, "empty"),
    (b"[" * 100_000, "not_json"),
    (b'{"text": "a", "n": ' + b"9" * 5_000 + b"}", "not_json"),
]


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_one_bad_line_costs_one_line_and_has_a_name(tmp_path: Path, ending: str) -> None:
    content = lines({"text": "はじめ"}, *(line for line, _ in BROKEN_LINES), {"text": "おわり"})
    (tmp_path / f"a.jsonl{ending}").write_bytes(compressed(content, ending))
    batch = read(Reading(jsonl=f"a.jsonl{ending}"), tmp_path)
    assert batch.frame["text"].to_list() == ["はじめ", "おわり"]
    assert batch.frame["row"].to_list() == [0, len(BROKEN_LINES) + 1]
    assert reasons(batch) == [(row, reason) for row, (_, reason) in enumerate(BROKEN_LINES, start=1)]
    assert batch.set_aside["detail"].str.len_chars().max() <= 200  # type: ignore[operator]
    assert batch.set_aside.filter(pl.col("id") == "n").height == 1


def test_lines_end_at_line_feeds_only_and_carriage_returns_marks_and_blank_lines_are_no_part_of_them(
    tmp_path: Path,
) -> None:
    text = "一\u2028二\u0085三\u000b四\x1c五"
    content = b"\xef\xbb\xbf" + lines({"text": text}).replace(b"\n", b"\r\n") + b"\n  \r\n" + lines({"text": "次"})[:-1]
    (tmp_path / "a.jsonl").write_bytes(content)
    batch = read(Reading(jsonl="a.jsonl"), tmp_path)
    assert batch.frame.select("row", "text").rows() == [(0, text), (3, "次")]
    assert batch.set_aside.height == 0


def test_lone_surrogates_become_replacement_characters_and_are_counted_and_nul_passes(tmp_path: Path) -> None:
    content = lines(
        rb'{"text": "a\ud800b\udc00\ud83d\ude00", "id": "\udfffx", "score": NaN}',
        {"text": "nul \x00 here"},
        {"text": "😀"},
    )
    (tmp_path / "a.jsonl").write_bytes(content)
    batch = read(Reading(jsonl="a.jsonl", columns={"score": "score"}), tmp_path)
    assert batch.frame["text"].to_list() == ["a\ufffdb\ufffd😀", "nul \x00 here", "😀"]
    assert batch.frame["surrogates"].to_list() == [3, 0, 0]
    assert batch.frame["given_id"][0] == "\ufffdx"
    assert batch.set_aside.height == 0


def test_ids_are_texts_or_whole_numbers_and_anything_else_is_its_json(tmp_path: Path) -> None:
    values: list[object] = ["a", 7, None, 1.5, True, ["x", 1], "", -(2**63), {"k": "v"}]
    (tmp_path / "a.jsonl").write_bytes(lines(*({"text": "t", "id": value} for value in values), {"text": "t"}))
    (tmp_path / "b.jsonl").write_bytes(
        lines({"text": "t", "curid": 5, "url": "https://e.jp/"}, {"text": "t", "url": 3})
    )
    frame = read(Reading(jsonl="*.jsonl"), tmp_path).frame
    assert frame["given_id"].to_list() == [
        "a", "7", None, "1.5", "true", '["x",1]', None, "-9223372036854775808", '{"k":"v"}', None, "5", None,
    ]  # fmt: skip
    assert frame["url"].to_list()[-2:] == ["https://e.jp/", None]


def test_a_line_too_long_to_keep_is_skipped_without_being_held(tmp_path: Path) -> None:
    head, tail = lines({"text": "前"}), lines({"text": "後"})
    with (tmp_path / "a.jsonl.zst").open("wb") as stream, zstandard.ZstdCompressor().stream_writer(stream) as writer:
        writer.write(head + b'{"text": "')
        for _ in range(200):
            writer.write(b"a" * 1_000_000)
        writer.write(b'"}\n' + tail)
    tracemalloc.start()
    batch = read(Reading(jsonl="a.jsonl.zst", max_document_bytes=4_000_000), tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert batch.frame.select("row", "text").rows() == [(0, "前"), (2, "後")]
    assert batch.set_aside.select("row", "reason", "bytes").rows() == [(1, "unreadable/too_long", 200_000_012)]
    assert batch.set_aside["detail"][0].startswith('{"text": "aaa')
    assert peak < 40_000_000


@pytest.mark.parametrize("size", [299, 300, 301])
def test_the_longest_document_is_measured_in_utf8_bytes(tmp_path: Path, size: int) -> None:
    text = "あ" * 99 + "a" * (size - 297)
    (tmp_path / "a.jsonl").write_bytes(lines({"text": text}))
    (tmp_path / "a.txt").write_bytes(text.encode())
    pq.write_table(pa.table({"text": [text]}), tmp_path / "a.parquet")
    for reading in ({"jsonl": "a.jsonl"}, {"text": "a.txt"}, {"parquet": "a.parquet"}):
        batch = read(Reading.model_validate({**reading, "max_document_bytes": 300}), tmp_path)
        assert (batch.frame.height, reasons(batch)) == ((1, []) if size <= 300 else (0, [(0, "too_long")]))


def test_ten_million_newlines_take_seconds_and_are_no_records(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n" * 10_000_000 + lines({"text": "底"}))
    start = time.process_time()
    batch = read(Reading(jsonl="a.jsonl"), tmp_path)
    assert time.process_time() - start < 5
    assert batch.frame.select("row", "text").rows() == [(10_000_000, "底")]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.text(max_size=30).map(lambda text: {"text": text}), st.just(b""), st.just(b"{")), max_size=30
    ),
    st.sampled_from(["", ".gz", ".zst"]),
    st.integers(1, 400),
)
def test_records_are_those_of_a_plain_loop_whatever_the_batch(
    tmp_path_factory: pytest.TempPathFactory, records: list[object], ending: str, batch_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    (folder / f"a.jsonl{ending}").write_bytes(compressed(lines(*records), ending))
    batch = read(Reading(jsonl="a.jsonl" + ending), folder, batch_bytes=batch_bytes)
    kept: list[tuple[int, str]] = []
    aside: list[tuple[int, str]] = []
    for row, record in enumerate(records):
        if isinstance(record, dict):
            (kept if record["text"].strip() else aside).append((row, record["text"]))
        elif record:
            aside.append((row, "{"))
    if not (records or ending):
        aside.append((0, ""))  # a file of no bytes is named
    assert batch.frame.select("row", "text").rows() == kept
    assert batch.set_aside["row"].to_list() == [row for row, _ in aside]


# ----------------------------------------------------------------------------------------------- files that break off


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_truncated_file_is_named_and_the_lines_before_it_are_kept(tmp_path: Path, ending: str) -> None:
    records = [{"text": f"{i} " + os.urandom(300).hex()} for i in range(2_000)]
    whole = compressed(lines(*records), ending)
    (tmp_path / f"a.jsonl{ending}").write_bytes(whole[: len(whole) // 2])
    (tmp_path / f"b.jsonl{ending}").write_bytes(compressed(lines({"text": "つぎ"}), ending))
    batch = read(Reading(jsonl=f"*.jsonl{ending}"), tmp_path)
    kept = batch.frame["text"].to_list()
    assert kept[-1] == "つぎ"
    assert kept[:-1] == [record["text"] for record in records[: len(kept) - 1]]
    assert 500 < len(kept) < 1_900
    assert reasons(batch) == [(len(kept) - 1, "truncated")]
    assert f"after {len(kept) - 1:,} whole lines" in batch.set_aside["detail"][0]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize("lost", [1, 4, 8])
def test_a_file_that_lost_its_last_bytes_loses_no_line(tmp_path: Path, ending: str, lost: int) -> None:
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    content = lines(*({"text": os.urandom(20).hex()} for _ in range(50)))
    whole = compressor.compress(content) if ending == ".zst" else gzip.compress(content)
    (tmp_path / f"a.jsonl{ending}").write_bytes(whole[: -min(lost, 4 if ending == ".zst" else 8)])
    batch = read(Reading(jsonl=f"a.jsonl{ending}"), tmp_path)
    assert batch.frame.height == 50
    assert reasons(batch) == [(50, "truncated")]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_damage_and_garbage_inside_compressed_files_are_named(tmp_path: Path, ending: str) -> None:
    content = lines(*({"text": os.urandom(200).hex()} for _ in range(2_000)))
    checked = zstandard.ZstdCompressor(write_checksum=True)
    whole = gzip.compress(content) if ending == ".gz" else checked.compress(content)
    middle = len(whole) // 2
    (tmp_path / f"damaged.jsonl{ending}").write_bytes(whole[:middle] + b"\xff" * 3_000 + whole[middle + 3_000 :])
    (tmp_path / f"garbage.jsonl{ending}").write_bytes(whole + b"more")
    (tmp_path / f"none.jsonl{ending}").write_bytes(b"")
    (tmp_path / f"plain.jsonl{ending}").write_bytes(lines({"text": "not compressed at all"}))
    batch = read(Reading(jsonl="."), tmp_path)
    assert set(batch.set_aside["reason"]) == {"unreadable/truncated"}
    assert batch.set_aside["file"].to_list() == [
        f"{name}.jsonl{ending}" for name in ("damaged", "garbage", "none", "plain")
    ]
    assert batch.frame.filter(pl.col("file") == f"garbage.jsonl{ending}").height == 2_000


def test_many_frames_members_padding_and_skippable_frames_are_one_file(tmp_path: Path) -> None:
    parts = [lines({"text": f"{i}"}) for i in range(5)]
    skippable = (0x184D2A53).to_bytes(4, "little") + (3).to_bytes(4, "little") + b"xyz"
    streamed = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False)
    (tmp_path / "a.jsonl.zst").write_bytes(skippable + b"".join(streamed.compress(part) for part in parts) + skippable)
    (tmp_path / "b.jsonl.gz").write_bytes(b"".join(gzip.compress(part) for part in parts) + b"\0" * 512)
    batch = read(Reading(jsonl="."), tmp_path)
    assert batch.frame["text"].to_list() == [*"01234", *"01234"]
    assert batch.set_aside.height == 0


@settings(max_examples=40, deadline=None)
@given(
    st.binary(max_size=3_000),
    st.integers(1, 19),
    st.booleans(),
    st.integers(0, 300_000),
    st.sampled_from([".gz", ".zst"]),
)
def test_decompression_gives_back_what_was_compressed_in_small_chunks(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, level: int, checksum: bool, repeat: int, ending: str
) -> None:  # fmt: skip
    content = content + b"a" * repeat
    path = tmp_path_factory.mktemp("chunks") / f"a{ending}"
    if ending == ".zst":
        path.write_bytes(zstandard.ZstdCompressor(level=level, write_checksum=checksum).compress(content))
    else:
        path.write_bytes(gzip.compress(content, compresslevel=min(level, 9)))
    parts = list(chunks(SourceFile(str(path), path.name, path.stat().st_size, "")))
    assert b"".join(parts) == content
    assert all(len(part) <= 1 << 20 for part in parts)


def test_a_small_file_of_much_text_is_read_in_small_chunks(tmp_path: Path) -> None:
    for ending, content in ((".gz", gzip.compress(b"a" * 50_000_000)), (".zst", zstandard.compress(b"a" * 50_000_000))):
        path = tmp_path / f"a{ending}"
        path.write_bytes(content)
        sizes = [len(part) for part in chunks(SourceFile(str(path), path.name, len(content), ""))]
        assert sum(sizes) == 50_000_000
        assert max(sizes) <= 1 << 20


# -------------------------------------------------------------------------------------------------------------- parquet


def write(path: Path, columns: dict[str, Any], **options: Any) -> None:  # noqa: ANN401 - PyArrow's own options
    pq.write_table(pa.table(columns), path, **options)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_parquet_texts_of_every_string_type_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    texts = ["一", None, "", " \x1c　", "二"]
    array = (
        pa.array(texts, pa.string()).cast(kind)
        if not pa.types.is_dictionary(kind)
        else pa.array(texts).dictionary_encode()
    )
    write(tmp_path / "a.parquet", {"curid": [1, 2, 3, 4, 5], "text": array, "url": ["u", None, "u", "u", "v"]})
    batch = read(Reading(parquet="a.parquet"), tmp_path)
    assert batch.frame.select("row", "given_id", "text", "url").rows() == [(0, "1", "一", "u"), (4, "5", "二", "v")]
    assert reasons(batch) == [(1, "text_null"), (2, "empty"), (3, "empty")]
    assert batch.set_aside["id"].to_list() == ["2", "3", "4"]


def test_parquet_texts_that_are_not_utf8_are_set_aside(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"\xff\xfe"], pa.binary()).buffers())
    write(tmp_path / "a.parquet", {"text": bad})
    batch = read(Reading(parquet="a.parquet"), tmp_path)
    assert batch.frame["text"].to_list() == ["ok"]
    assert batch.set_aside.select("row", "reason", "detail").rows() == [(1, "unreadable/invalid_utf8", "\\xff\\xfe")]


def test_a_parquet_without_the_text_column_or_with_another_type_there_is_a_sentence(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"body": ["x"], "score": [1.0]})
    with pytest.raises(SourceError, match=r"a\.parquet: there is no column 'text'; the columns are body, score"):
        read(Reading(parquet="a.parquet"), tmp_path)
    with pytest.raises(SourceError, match=r"the column 'score' holds double and no text.*columns are body, score"):
        read(Reading(parquet="a.parquet", columns={"text": "score"}), tmp_path)
    with pytest.raises(SourceError, match="there is no column 'key'"):
        read(Reading(parquet="a.parquet", columns={"text": "body", "id": "key"}), tmp_path)


def test_parquet_columns_are_found_in_nested_records_and_only_they_are_read(tmp_path: Path) -> None:
    meta = pa.array([{"url": "u0", "body": "b0", "n": 1}, None, {"url": None, "body": "b2", "n": 3}])
    write(tmp_path / "a.parquet", {"meta": meta, "meta.n": [True, None, False], "tags": [["x"], [], None]})
    columns = {"text": "meta.body", "url": "meta.url", "flag": "meta.n", "tags": "tags"}
    batch = read(Reading(parquet="a.parquet", columns=columns), tmp_path)
    assert batch.frame.select("row", "text", "url", "flag", "tags").rows() == [
        (0, "b0", "u0", 1.0, '["x"]'),
        (2, "b2", None, 0.0, None),
    ]
    assert reasons(batch) == [(1, "text_null")]


def test_a_truncated_parquet_and_a_damaged_row_group_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    texts = [f"{i} " + os.urandom(50).hex() for i in range(100)]
    write(tmp_path / "b.parquet", {"text": texts}, row_group_size=10, compression="zstd", use_dictionary=False)
    content = (tmp_path / "b.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: len(content) // 2])
    (tmp_path / "none.parquet").write_bytes(b"")
    with pq.ParquetFile(tmp_path / "b.parquet") as parquet:
        column = parquet.metadata.row_group(3).column(0)
    start, size = column.data_page_offset, column.total_compressed_size
    (tmp_path / "b.parquet").write_bytes(content[:start] + b"\xff" * size + content[start + size :])
    batch = read(Reading(parquet="."), tmp_path)
    assert batch.frame["text"].to_list() == texts[:30] + texts[40:]
    assert batch.frame["row"].to_list() == [*range(30), *range(40, 100)]
    assert batch.set_aside.select("file", "row", "reason").rows() == [
        ("a.parquet", 0, "unreadable/truncated"),
        ("b.parquet", 30, "unreadable/truncated"),
        ("none.parquet", 0, "unreadable/truncated"),
    ]
    assert "10 rows could not be read" in batch.set_aside["detail"][1]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.text(max_size=20)), min_size=1, max_size=40),
    st.integers(1, 10),
    st.integers(1, 2_000),
    st.integers(1, 300),
)
def test_parquet_gives_the_same_records_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str | None], group: int, task_bytes: int, batch_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("parquet")
    write(folder / "a.parquet", {"text": pa.array(texts, pa.string())}, row_group_size=group)
    reading = Reading(parquet="a.parquet")
    tasks = cut_tasks(list_files(reading, folder, {}), reading, task_bytes)
    assert tasks == cut_tasks(list_files(reading, folder, {}), reading, task_bytes)
    batches = [batch for task in tasks for batch in read_pieces(task, reading, batch_bytes=batch_bytes)]
    kept = [row for batch in batches for row in batch.frame.select("row", "text").rows()]
    assert kept == [(row, text) for row, text in enumerate(texts) if text and text.strip()]
    assert sum(batch.set_aside.height for batch in batches) == len(texts) - len(kept)


# ------------------------------------------------------------------------------------------------- text, OSCAR and WARC


def test_a_text_file_is_one_document_named_by_its_relative_name(tmp_path: Path) -> None:
    (tmp_path / "novels").mkdir()
    (tmp_path / "novels" / "a.txt").write_bytes("\ufeff吾輩は猫である。\r\n名前はまだ無い。\n".encode())
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("坊っちゃん".encode()))
    (tmp_path / "c.txt.zst").write_bytes(zstandard.compress("草枕".encode())[:-3])
    (tmp_path / "d.md").write_bytes("先生".encode("shift_jis"))
    (tmp_path / "e.txt").write_bytes(b"")
    (tmp_path / "f.csv").write_bytes(b"1,2")
    (tmp_path / ".g.txt").write_bytes(b"hidden")
    batch = read(Reading(text="."), tmp_path)
    assert batch.frame.select("file", "row", "given_id", "text").rows() == [
        ("b.txt.gz", 0, "b.txt.gz", "坊っちゃん"),
        ("novels/a.txt", 0, "novels/a.txt", "吾輩は猫である。\r\n名前はまだ無い。\n"),
    ]
    assert batch.set_aside.select("file", "reason").rows() == [
        ("c.txt.zst", "unreadable/truncated"),
        ("d.md", "unreadable/invalid_utf8"),
        ("e.txt", "unreadable/empty"),
    ]


METADATA = {
    "identification": {"label": "ja", "prob": 1.0000107},
    "harmful_pp": 267.7608,
    "tlsh": "tlsh:T1",
    "quality_warnings": ["tiny"],
    "categories": None,
    "sentence_identifications": [
        {"label": "ja", "prob": 1.0},
        None,
        {"label": "en", "prob": 0.9},
        {"label": "ja", "prob": 1},
    ],
}
HEADERS = {"warc-record-id": "<urn:uuid:1-2>", "warc-target-uri": "<https://example.jp/>", "content-length": "414"}


def test_both_forms_of_oscar_give_the_same_columns(tmp_path: Path) -> None:
    file_form = {"content": "本文", "warc_headers": HEADERS, "metadata": METADATA}
    loader_form = {"id": 12, "text": "本文", "meta": {**METADATA, "warc_headers": HEADERS}}
    (tmp_path / "a.jsonl.zst").write_bytes(
        zstandard.compress(lines(file_form, loader_form, {"content": "裸"}, {"other": 1}))
    )
    batch = read(Reading(oscar="a.jsonl.zst", columns={"tlsh": "metadata.tlsh"}), tmp_path)
    shared = ("https://example.jp/", "ja", 1.0000107, ["tiny"], None, 267.7608, 0.25)
    assert batch.frame.drop("file", "row", "surrogates").rows() == [
        ("1-2", "本文", *shared, "tlsh:T1"),
        ("12", "本文", *shared, None),
        (None, "裸", None, None, None, None, None, None, None, None),
    ]
    assert reasons(batch) == [(3, "no_text")]
    where = Reading(oscar="a.jsonl.zst", where="metadata.identification.prob > 0.9 AND metadata.harmful_pp > 200")
    assert read(where, tmp_path).frame.height == 1


@pytest.mark.shared_data
def test_real_oscar_and_common_crawl_files_are_read(shared_data: Path) -> None:
    real = read(Reading(oscar="oscar/oscar_schema_v2_sample.jsonl.gz"), shared_data)
    assert real.frame.height == 63
    assert real.frame["text"].str.len_bytes().sum() == 1_471_922
    assert sorted(real.frame["oscar_language"].value_counts().rows()) == [
        ("de", 12), ("en", 12), ("es", 15), ("fr", 7), ("ru", 8), ("zh", 9),
    ]  # fmt: skip
    assert real.frame["url"].str.starts_with("http").all()
    wet = read(Reading(warc="oscar"), shared_data).frame
    assert wet.select("file", "row", "given_id").rows() == [
        ("whirlwind.warc.wet.gz", 1, "ba729a40-ff84-4085-8d48-0a5b2e5bdaa2")
    ] or wet["given_id"][0].startswith("ba729a40-ff84-4085")
    prose = read(Reading(jsonl="prose_ja"), shared_data)
    assert (prose.frame.height, prose.set_aside.height) == (12_473, 0)
    assert prose.frame["text"].str.len_bytes().sum() == 71_511_625
    english = read(Reading(jsonl="prose_en", where="meta.source LIKE 'standardebooks%'"), shared_data)
    assert english.frame.height == 877


def archive(path: Path) -> None:
    """A web archive written by hand, as warcio's own writer leaves temporary files open."""
    page = "<html><body><article><p>" + "これは本文の段落です。" * 30 + "</p></article><nav>menu</nav></body></html>"
    records = [("warcinfo", "software: test"), ("conversion", "日本語の本文です。\n二行目。")]
    records += [("metadata", "no document"), ("conversion", "次")]
    answers = [
        ("200 OK", "text/html; charset=utf-8", page),
        ("404 Not Found", "text/html", page),
        ("200 OK", "image/png", "x"),
    ]
    records += [
        ("response", f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n\r\n{body}") for status, kind, body in answers
    ]
    parts = []
    for number, (kind, text) in enumerate(records):
        body = text.encode()
        head = (
            f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{uuid.UUID(int=number)}>\r\n"
            f"WARC-Target-URI: https://example.jp/{number}\r\nWARC-Identified-Content-Language: jpn\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        part = head.encode() + body + b"\r\n\r\n"
        parts.append(gzip.compress(part) if path.name.endswith(".gz") else part)
    path.write_bytes(b"".join(parts))


@pytest.mark.parametrize("name", ["a.warc.gz", "a.warc"])
def test_web_archives_give_texts_and_pages_and_the_rest_is_named(tmp_path: Path, name: str) -> None:
    archive(tmp_path / name)
    batch = read(
        Reading(warc=name, where="\"warc-type\" = 'response' OR \"warc-identified-content-language\" = 'jpn'"), tmp_path
    )
    assert batch.frame["row"].to_list() == [1, 3, 4]
    assert batch.frame["text"].to_list()[:2] == ["日本語の本文です。\n二行目。", "次"]
    assert batch.frame["text"][2].startswith("これは本文の段落です。")
    assert "menu" not in batch.frame["text"][2]
    assert batch.frame["url"][0] == "https://example.jp/1"
    assert batch.frame["given_id"].str.contains(r"^[0-9a-f-]{36}$").all()
    assert reasons(batch) == [(5, "no_text"), (6, "no_text")]


@pytest.mark.parametrize("name", ["a.warc.gz", "a.warc"])
def test_a_truncated_web_archive_is_named_and_the_records_before_it_are_kept(tmp_path: Path, name: str) -> None:
    archive(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    if name.endswith(".gz"):
        starts = [i for i in range(len(content)) if content.startswith(b"\x1f\x8b\x08", i)]
        cut = starts[4] - 20
    else:
        cut = content.index("次".encode()) + 1
    (tmp_path / name).write_bytes(content[:cut])
    (tmp_path / f"none-{name}").write_bytes(b"")
    (tmp_path / f"other-{name}").write_bytes(gzip.compress(b"no archive") if name.endswith(".gz") else b"no archive")
    batch = read(Reading(warc="."), tmp_path)
    assert batch.frame["text"].to_list() == ["日本語の本文です。\n二行目。"]
    assert batch.set_aside.select("file", "reason").rows() == [
        (file, "unreadable/truncated") for file in (name, f"none-{name}", f"other-{name}")
    ]


@pytest.mark.parametrize("package", ["warcio", "trafilatura"])
def test_without_the_extra_a_web_archive_is_answered_by_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    archive(tmp_path / "a.warc.gz")
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SourceError, match=rf"{package}.*pip install 'corpus-ja\[warc\]'"):
        read(Reading(warc="a.warc.gz"), tmp_path)


# ----------------------------------------------------------------------------------------------- columns and conditions


def test_extra_columns_have_one_type_over_all_files_and_batches(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(*({"text": "t", "m": {"s": None}} for _ in range(50))))
    second = [
        {"text": "t", "m": {"s": 1}, "k": "x", "l": [1]},
        {"text": "t", "m": {"s": 2.5}, "k": 3, "l": None},
        {"text": "t", "m": {"s": True}, "k": {"a": "あ"}},
    ]
    (tmp_path / "b.jsonl").write_bytes(lines(*second))
    columns = {"score": "m.s", "kind": "k", "list": "l", "nothing": "z"}
    frame = read(Reading(jsonl="*.jsonl", columns=columns), tmp_path, batch_bytes=10).frame
    assert frame["score"].to_list()[-3:] == [1.0, 2.5, 1.0]
    assert frame["kind"].to_list()[-3:] == ["x", "3", '{"a":"あ"}']
    assert frame["list"].to_list()[-3:] == ["[1]", None, None]
    assert frame.schema["nothing"] == pl.String
    (tmp_path / "c.jsonl").write_bytes(lines({"text": "t", "m": {"s": "high"}}))
    with pytest.raises(SourceError, match=r'c\.jsonl: the column \'score\' holds numbers elsewhere and "high" here'):
        read(Reading(jsonl="*.jsonl", columns=columns), tmp_path)


CONDITIONS = [
    ("score >= 2.5", [1, 2]),
    ("score < 2.5", [0]),
    ("meta.name = 'C4'", [0, 1]),
    ("meta.name LIKE 'C%' AND score > 2", [1]),
    ("lang IN ('ja', 'en')", [0, 1, 2]),
    ("NOT (lang = 'ja')", [2]),
    ("lang IS NULL", [3]),
    ("LENGTH(text) > 3", [3]),
    ("ARRAY_CONTAINS(meta.tags, 'x')", [0]),
    ("score BETWEEN 2 AND 3", [1]),
    ('"odd name" = true', [2]),
    ("text <> 'C4' AND meta.deep.er = 1", [1]),
]


@pytest.mark.parametrize(("sql", "rows"), CONDITIONS)
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_condition_keeps_the_rows_it_says_and_a_null_excludes(
    tmp_path: Path, kind: str, sql: str, rows: list[int]
) -> None:
    metas: list[dict[str, object] | None] = [
        {"name": "C4", "tags": ["x"], "deep": {"er": 2}},
        {"name": "C4", "tags": [], "deep": {"er": 1}},
        {"name": "Book", "tags": None, "deep": None},
        None,
    ]
    records: list[dict[str, object]] = [
        {"text": "一", "score": 1, "lang": "ja", "odd name": False},
        {"text": "二", "score": 2.5, "lang": "ja", "odd name": None},
        {"text": "三", "score": 9, "lang": "en", "odd name": True},
        {"text": "四四四四", "score": None, "lang": None, "odd name": None},
    ]
    records = [{**record, "id": str(row), "meta": metas[row]} for row, record in enumerate(records)]
    if kind == "jsonl":
        (tmp_path / "a.jsonl").write_bytes(lines(*records, {"text": None}))
    else:
        pq.write_table(pa.Table.from_pylist([*records, {"text": None}]), tmp_path / "a.parquet")
    batch = read(Reading.model_validate({kind: f"a.{kind}", "where": sql}), tmp_path, batch_bytes=1)
    assert batch.frame["row"].to_list() == rows
    excluded = batch.set_aside.filter(pl.col("reason") == "where")
    assert sorted(excluded["row"].to_list()) == sorted({0, 1, 2, 3} - set(rows))
    assert excluded["id"].to_list() == [str(row) for row in excluded["row"]]
    assert (excluded["bytes"] > 0).all()


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("score >", "cannot be read"),
        ("score >= 2; drop", "cannot be read"),
        ("__import__('os').system('x')", "cannot be read"),
        ("score", "is a column and no condition"),
        ("meta.score", "is a column and no condition"),
        ("score + 1", "is a value and no condition"),
        ("LOWER(lang)", "is a value and no condition"),
        ("score > 1 AS good", "cannot be read|gives a name"),
        ("score AS good", "gives a name"),
        ("score > (SELECT 1)", "holds a sub-query"),
        ("SELECT 1", "holds a sub-query"),
        ("score > AVG(score)", "looks at many records at once"),
        ("COUNT(score) > 1", "looks at many records at once"),
        ("date < NOW()", "asks the clock"),
        ("1 = 1", "names no column"),
        ("", "cannot be read|names no column"),
    ],
)
def test_what_is_no_condition_is_a_sentence_when_the_mix_is_loaded(sql: str, what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        Reading(jsonl="a.jsonl", where=sql)


@pytest.mark.parametrize(
    "sql",
    [
        "lang = 'select sum(x) from now()'",
        "is_good AND score > 1",
        "NOT (is_good OR lang = 'ja')",
        "lang ~ '^ja'",
        "STARTS_WITH(url, 'https')",
        "a.b.c > 1",
        "LENGTH(text) > 10",
    ],
)
def test_conditions_that_only_look_dangerous_are_taken(sql: str) -> None:
    assert Reading(jsonl="a.jsonl", where=sql).where == sql


def test_a_condition_on_a_missing_column_or_of_the_wrong_type_names_file_and_column(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines({"text": "t", "meta": {"x": 1}}, {"text": "t"}))
    write(tmp_path / "a.parquet", {"text": ["t"], "meta": pa.array([{"x": 1}])})
    for reading in ({"jsonl": "a.jsonl"}, {"parquet": "a.parquet"}):
        for sql, column in (("scroe > 2", "scroe"), ("meta.y = 1", r"meta\.y")):
            with pytest.raises(SourceError, match=f"a\\..*names the column '{column}'"):
                read(Reading.model_validate({**reading, "where": sql}), tmp_path)
        assert read(Reading.model_validate({**reading, "where": "meta.x = 1"}), tmp_path).frame.height == 1
    with pytest.raises(SourceError, match="does not fit the data"):
        read(Reading(jsonl="a.jsonl", where="text > 3"), tmp_path)
    (tmp_path / "b.jsonl").write_bytes(lines({"text": "t", "s": 1}, {"text": "t", "s": "two"}))
    with pytest.raises(
        SourceError, match=r"b\.jsonl: the column 's', which where names, holds values of several types"
    ):
        read(Reading(jsonl="b.jsonl", where="s > 1"), tmp_path)


# ------------------------------------------------------------------------------------------------------------- sidecars


def test_a_sidecar_is_joined_by_id_and_its_ids_can_be_counted(tmp_path: Path) -> None:
    import xxhash

    (tmp_path / "a.jsonl").write_bytes(lines(*({"id": i, "text": "t"} for i in (3, 1, 2)), {"text": "no id"}))
    write(tmp_path / "scores.parquet", {"score": [1, 2, 9], "label": ["x", None, "z"], "id": ["1", "3", "unknown"]})
    reading = Reading(jsonl="a.jsonl", sidecar="scores.parquet")
    frame = read(reading, tmp_path).frame
    assert frame.select("given_id", "score", "label").rows() == [
        ("3", 2.0, None),
        ("1", 1.0, "x"),
        ("2", None, None),
        (None, None, None),
    ]
    assert sidecar_ids(located(reading, tmp_path)).to_list() == [
        xxhash.xxh3_64_intdigest(i) for i in ("1", "3", "unknown")
    ]
    found = sidecar_file(reading, tmp_path, {})
    assert found is not None
    assert found.identity.startswith("sha256:")
    assert sidecar_ids(Reading(jsonl="a.jsonl")).len() == 0


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"key": ["1"], "score": [1]}, "needs a column id; it has key, score"),
        ({"id": ["1", "1"], "score": [1, 2]}, "2 rows whose ids repeat, as does '1'"),
        ({"id": ["1", None], "score": [1, 2]}, "1 rows of the sidecar have no id"),
        ({"id": ["1"], "text": ["x"]}, "the column 'text' exists in the source already"),
    ],
)
def test_a_sidecar_that_cannot_be_joined_is_a_sentence(tmp_path: Path, columns: dict[str, Any], what: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines({"id": "1", "text": "t"}))
    write(tmp_path / "s.parquet", columns)
    with pytest.raises(SourceError, match=what):
        read(Reading(jsonl="a.jsonl", sidecar="s.parquet"), tmp_path)


# ------------------------------------------------------------------------------------------------------ which files


def touch(folder: Path, names: Iterable[str], size: int = 3) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * size)


def test_folders_and_globs_are_searched_by_the_kinds_endings_and_names_are_relative(tmp_path: Path) -> None:
    touch(tmp_path, ["d/b.jsonl", "d/a/c.jsonl.zst", "d/a/README.md", "d/.hidden/x.jsonl", "d/z.parquet", "d/n.txt"])
    for address, names in {
        "d": ["a/c.jsonl.zst", "b.jsonl"],
        "d/*": ["b.jsonl"],
        "d/**/*": ["a/c.jsonl.zst", "b.jsonl"],
        "d/?/*.zst": ["a/c.jsonl.zst"],
        "*/*.jsonl": ["d/b.jsonl"],
        "d/b.jsonl": ["b.jsonl"],
        "d/n.txt": ["n.txt"],
        "d/*.txt": ["n.txt"],
    }.items():
        found = list_files(Reading(jsonl=address), tmp_path, {})
        assert [file.name for file in found] == names, address
        assert all(Path(file.address).is_file() for file in found)
    absolute = list_files(Reading(jsonl=str(tmp_path / "d")), Path("/"), {})
    assert [file.name for file in absolute] == ["a/c.jsonl.zst", "b.jsonl"]


def test_names_do_not_depend_on_where_the_folder_stands_and_content_is_hashed_once(tmp_path: Path) -> None:
    touch(tmp_path, ["one/x/a.jsonl", "two/x/a.jsonl"])
    cache: dict[str, str] = {}
    first = list_files(Reading(jsonl="one"), tmp_path, cache)[0]
    second = list_files(Reading(jsonl="x"), tmp_path / "two", cache)[0]
    assert (first.name, second.name) == ("x/a.jsonl", "a.jsonl")
    assert first.identity == second.identity
    assert len(cache) == 2
    for key in cache:
        cache[key] = "kept"
    assert list_files(Reading(jsonl="one"), tmp_path, cache)[0].identity == "sha256:kept"
    (tmp_path / "one/x/a.jsonl").write_bytes(b"yyyy")
    assert list_files(Reading(jsonl="one"), tmp_path, cache)[0].identity != "sha256:kept"


@pytest.mark.parametrize(
    ("reading", "what"),
    [
        ({"jsonl": "daat"}, r"daat: there is no such file or folder\. There is data beside it"),
        ({"jsonl": "data/pagse.jsonl"}, r"There is pages\.jsonl beside it"),
        ({"jsonl": "data/*.zst"}, r"no file matches '\*\.zst'\. It holds .*pages\.jsonl"),
        ({"parquet": "data"}, r"holds no file for parquet \(endings \.parquet\)\. It holds"),
        ({"jsonl": "nowhere/deep/*.jsonl"}, r"nowhere: there is no such|nowhere/deep: there is no such"),
        ({"jsonl": "empty"}, "It is empty"),
        ({"jsonl": "nope://x/y"}, "nope:// is no kind of address|nope"),
        ({"jsonl": "s3://bucket/x.jsonl"}, "needs a driver that is not installed.*s3fs"),
        ({"jsonl": "hf://someone/model/x.jsonl"}, "looks like hf://datasets/OWNER/NAME/PATH"),
        ({"jsonl": "memory://nothing/here.jsonl"}, "there is no such file or folder"),
    ],
)
def test_an_address_under_which_there_is_nothing_is_a_sentence(
    tmp_path: Path, reading: dict[str, str], what: str
) -> None:
    touch(tmp_path, ["data/pages.jsonl", "data/notes.txt"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=what):
        list_files(Reading.model_validate(reading), tmp_path, {})


@pytest.mark.parametrize(
    ("reading", "what"),
    [
        ({}, "exactly one of hub, parquet, jsonl, text, oscar, warc; it has none"),
        ({"jsonl": "a", "parquet": "b"}, "it has parquet and jsonl"),
        ({"jsonl": " "}, "jsonl is empty"),
        ({"jsonl": "a", "config": "x"}, "config belongs to a source of the kind hub"),
        ({"jsonl": "a", "revision": "x"}, "revision belongs to hub and to hf:// addresses"),
        ({"text": "a", "where": "x > 1"}, "takes neither columns nor where"),
        ({"oscar": "a", "columns": {"text": "x"}}, "columns cannot set text"),
        ({"jsonl": "a", "columns": {"row": "x"}}, "cannot use the name 'row'"),
        ({"jsonl": "a", "columns": {"text": ""}}, "neither may be empty"),
        ({"jsonl": "a", "read": {"files": 0}}, "greater than 0"),
        ({"jsonl": "a", "max_document_bytes": "lots"}, "amount like 2GB"),
        ({"path": "a"}, "Extra inputs are not permitted|exactly one"),
    ],
)
def test_a_reading_that_contradicts_itself_is_a_sentence(reading: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        Reading.model_validate(reading)


def test_read_takes_whole_files_in_an_order_that_names_alone_decide(tmp_path: Path) -> None:
    names = [f"part_{i:03d}.jsonl" for i in range(40)]
    touch(tmp_path, names, size=1_000)

    def taken(**amount: Any) -> list[str]:  # noqa: ANN401 - files or max_bytes
        return [file.name for file in list_files(Reading(jsonl=".", read=Amount(**amount)), tmp_path, {})]

    ten, twenty = taken(files=10), taken(max_bytes=20_999)
    assert (len(ten), len(twenty)) == (10, 20)
    assert set(ten) < set(twenty)
    assert ten == sorted(ten) != names[:10]
    assert taken(max_bytes=10) == taken(files=1)
    assert taken(files=100) == names
    (tmp_path / names[0]).rename(tmp_path / "new.jsonl")
    assert len(set(taken(files=10)) & set(ten)) >= 9


def test_small_files_are_joined_and_compressed_ones_never_cut(tmp_path: Path) -> None:
    touch(tmp_path, [f"{i}.jsonl.gz" for i in range(6)], size=400)
    touch(tmp_path, ["7.jsonl.zst"], size=5_000)
    touch(tmp_path, ["8.jsonl"], size=5_000)
    reading = Reading(jsonl=".")
    tasks = cut_tasks(list_files(reading, tmp_path, {}), reading, 1_000)
    assert [[piece.file.name for piece in task] for task in tasks] == [
        ["0.jsonl.gz", "1.jsonl.gz"],
        ["2.jsonl.gz", "3.jsonl.gz"],
        ["4.jsonl.gz", "5.jsonl.gz"],
        ["7.jsonl.zst"],
        ["8.jsonl"],
    ]
    assert cut_tasks([], reading) == []


@pytest.mark.parametrize(
    ("pattern", "name", "yes"),
    [
        ("*.zst", "a.zst", True),
        ("*.zst", "b/a.zst", False),
        ("**/*.zst", "a.zst", True),
        ("**/*.zst", "b/c/a.zst", True),
        ("part_[0-4]?.gz", "part_31.gz", True),
        ("part_[!0-4]*", "part_31.gz", False),
        ("b/**", "b/c/d", True),
        ("a.b", "aXb", False),
    ],
)
def test_globs_mean_what_they_mean_in_a_shell(pattern: str, name: str, *, yes: bool) -> None:
    assert matches(name, pattern) is yes


# ------------------------------------------------------------------------------------------------ stores and workers


def test_any_fsspec_address_reads_like_a_local_path() -> None:
    memory = fsspec.filesystem("memory")
    try:
        memory.pipe("/corpus/a/1.jsonl.gz", gzip.compress(lines({"text": "一"})))
        memory.pipe("/corpus/2.jsonl", lines({"text": "二"}, b"{"))
        sink = io.BytesIO()
        pq.write_table(pa.table({"text": ["三"]}), sink)
        memory.pipe("/corpus/3.parquet", sink.getvalue())
        batch = read(Reading(jsonl="memory://corpus"), Path("/"))
        assert batch.frame.select("file", "text").rows() == [("2.jsonl", "二"), ("a/1.jsonl.gz", "一")]
        assert reasons(batch) == [(1, "not_json")]
        assert read(Reading(jsonl="memory://corpus/**/*.gz"), Path("/")).frame["file"].to_list() == ["a/1.jsonl.gz"]
        assert read(Reading(parquet="memory://corpus/3.parquet"), Path("/")).frame["file"].to_list() == ["3.parquet"]
        first = list_files(Reading(jsonl="memory://corpus/2.jsonl"), Path("/"), {})[0].identity
        memory.pipe("/corpus/2.jsonl", lines({"text": "二"}, b"["))
        assert list_files(Reading(jsonl="memory://corpus/2.jsonl"), Path("/"), {})[0].identity != first
    finally:
        memory.rm("/corpus", recursive=True)


def test_pieces_and_readings_travel_to_another_process(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines({"text": "一", "score": 3}, {"text": "二", "score": 1}))
    reading = Reading(jsonl="a.jsonl", where="score > 2", read=Amount(files=1))
    (task,) = cut_tasks(list_files(reading, tmp_path, {}), reading)
    script = (
        "import pickle, sys; from corpus_ja.storage.sources import read_pieces; "
        "print(sum(batch.frame.height for batch in read_pieces(*pickle.load(sys.stdin.buffer))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=pickle.dumps((task, reading)), capture_output=True, check=True
    )
    assert done.stdout == b"1\n"


def test_a_file_that_vanishes_or_may_not_be_read_is_a_sentence(tmp_path: Path) -> None:
    touch(tmp_path, ["a.jsonl", "a.parquet"], size=100)
    for reading in (Reading(jsonl="a.jsonl"), Reading(parquet="a.parquet")):
        tasks = cut_tasks(list_files(reading, tmp_path, {}), reading)
        Path(tasks[0][0].file.address).unlink()
        with pytest.raises(SourceError, match="the file is gone"):
            list(read_pieces(tasks[0], reading))


def test_reading_a_large_file_holds_no_more_than_a_few_batches(tmp_path: Path) -> None:
    record = lines({"text": "この文は長い記録の一部です。" * 100})
    with (tmp_path / "a.jsonl.gz").open("wb") as stream:
        stream.write(b"".join([zlib_member(record * 1_000)] * 60))
    script = (
        "import resource, sys; from pathlib import Path; from corpus_ja.storage.sources import *; "
        "r = Reading(jsonl='a.jsonl.gz'); t = cut_tasks(list_files(r, Path(sys.argv[1]), {}), r)[0]; "
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; i = read_pieces(t, r); "
        "n = sum(next(i).frame.height for _ in range(5)); a = peak(); n += sum(b.frame.height for b in i); "
        "print(n, a, peak())"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    documents, early, late = map(int, done.stdout.split())
    assert documents == 60_000
    assert late < early * 1.2


def zlib_member(content: bytes) -> bytes:
    member = zlib.compressobj(1, wbits=31)
    return member.compress(content) + member.flush()
