"""Reading datasets on the Hub: a server of its protocol, a process of its own (HF_ENDPOINT is read at import)."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.hub_server import Dataset, HubServer

READER = """
import json, sys
from pathlib import Path
from corpus_ja.errors import CorpusError
from corpus_ja.storage.sources import Reading, cut_tasks, list_files, read_pieces

for line in sys.stdin:
    asked = json.loads(line)
    try:
        reading = Reading(**asked["reading"])
        files = list_files(reading, Path("/"), {})
        answer = {"files": [[f.name, f.bytes, f.identity, f.address] for f in files], "tasks": [], "documents": []}
        for task in cut_tasks(files, reading, asked["task_bytes"]) if asked["read"] else []:
            answer["tasks"].append([[piece.file.name, piece.row_groups] for piece in task])
            for batch in read_pieces(task, reading):
                answer["documents"] += batch.frame.rows()
                answer.setdefault("aside", []).extend(batch.set_aside.rows())
    except CorpusError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""


class Asker:
    """A process whose HF_ENDPOINT is the server of the tests; it answers what a reading finds and reads there."""

    def __init__(self, hub: HubServer, home: Path, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING_FACE"))}
        own = {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(home),
            "NO_PROXY": "127.0.0.1",
            "CORPUS_JA_RETRY_WAIT": "0.01",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", READER],
            env={**kept, **own, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, reading: dict[str, Any], *, read: bool = True, task_bytes: int = 64_000_000) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"reading": reading, "read": read, "task_bytes": task_bytes}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with HubServer({}) as hub:
        yield hub


@pytest.fixture(scope="module")
def ask(server: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    asker = Asker(server, tmp_path_factory.mktemp("home"))
    yield asker
    asker.close()


@pytest.fixture
def hub(server: HubServer) -> HubServer:
    server.datasets, server.page = {}, 1000
    server.log.clear()
    return server


def parquet(texts: list[str], rows: int = 10, **columns: list[object]) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"id": [f"d{i}" for i in range(len(texts))], "text": texts, **columns})
    pq.write_table(table, sink, row_group_size=rows, compression="none", use_dictionary=False)
    return sink.getvalue()


def jsonl_zst(records: list[dict[str, object]]) -> bytes:
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    return zstandard.ZstdCompressor().compress(lines.encode())


TEXTS = [f"文書{i}。" + "今日は本を読みました。" * 20 for i in range(40)]
RECORDS: list[dict[str, object]] = [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)]


def test_a_dataset_is_listed_at_a_commit_and_read_by_its_readmes_configs(hub: HubServer, ask: Asker) -> None:
    files = {
        "README.md": b"# x",
        "web/train/a.parquet": parquet(TEXTS[:2]),
        "web/train/b.parquet": parquet(TEXTS[2:5]),
        "web/test/a.parquet": parquet(["試験"]),
        "stories/all.parquet": parquet(["物語"]),
    }
    splits = [{"split": "train", "path": "web/train/*"}, {"split": "test", "path": ["web/test/a.parquet"]}]
    configs: list[dict[str, object]] = [
        {"config_name": "web", "data_files": splits},
        {"config_name": "stories", "data_files": "stories/*.parquet"},
    ]
    dataset = Dataset(files, configs, revisions=("main", "v1"))
    hub.datasets = {"someone/pages": dataset}
    answer = ask({"hub": "someone/pages", "config": "web", "revision": "v1"})
    names = [file[0] for file in answer["files"]]
    assert names == ["web/train/a.parquet", "web/train/b.parquet"]
    assert answer["files"][0][2] == f"someone/pages@{dataset.commit}/web/train/a.parquet"
    assert [row[3] for row in answer["documents"]] == TEXTS[:5]
    assert {request.path.split("/resolve/")[1].split("/")[0] for request in hub.log if "/resolve/" in request.path} == {
        dataset.commit
    }
    test = ask({"hub": "someone/pages", "config": "web", "split": "test"})
    assert [row[3] for row in test["documents"]] == ["試験"]
    undecided = ask({"hub": "someone/pages"}, read=False)
    assert undecided["error"] == "The dataset someone/pages has several configs; choose one with config: web, stories."
    wrong = ask({"hub": "someone/pages", "config": "web", "split": "dev"}, read=False)
    assert "has no split 'dev' in this config; it has train, test" in wrong["error"]


def test_without_a_readme_the_files_names_say_the_split_and_pages_of_the_listing_are_followed(
    hub: HubServer, ask: Asker
) -> None:
    files = {f"data/train-{i:05d}-of-00012.parquet": parquet([TEXTS[i]]) for i in range(12)}
    files |= {"data/test-00000-of-00001.parquet": parquet(["試験"]), ".gitattributes": b""}
    hub.datasets = {"someone/plain": Dataset(files)}
    hub.page = 5
    answer = ask({"hub": "someone/plain"})
    assert [file[0] for file in answer["files"]] == sorted(name for name in files if "train" in name)
    assert [row[3] for row in answer["documents"]] == TEXTS[:12]
    assert sum("/tree/" in request.path for request in hub.log) == 3
    some = ask({"hub": "someone/plain", "read": {"files": 3}}, read=False)
    assert len(some["files"]) == 3


def test_parquet_is_read_by_ranges_of_the_columns_asked_for(hub: HubServer, ask: Asker) -> None:
    heavy: list[object] = [os.urandom(20_000).hex() for _ in TEXTS]
    content = parquet(TEXTS, rows=10, html=heavy)
    hub.datasets = {"someone/pages": Dataset({"pages.parquet": content})}
    answer = ask({"parquet": "hf://datasets/someone/pages/*.parquet"}, task_bytes=900_000)
    assert [row[3] for row in answer["documents"]] == TEXTS
    assert [row[1] for row in answer["documents"]] == list(range(40))
    assert answer["tasks"] == [[["pages.parquet", [0, 2]]], [["pages.parquet", [2, 4]]]]
    ranges = [request.range for request in hub.downloads()]
    assert None not in ranges
    spans = [[int(bound) for bound in str(span).removeprefix("bytes=").split("-")] for span in ranges]
    assert sum(last - first + 1 for first, last in spans) < len(content) / 4


def test_json_lines_are_streamed_in_one_request_through_an_hf_address(hub: HubServer, ask: Asker) -> None:
    record: dict[str, object] = {
        "content": "本文です。",
        "warc_headers": {"warc-record-id": "<urn:uuid:a-b>", "warc-target-uri": "https://example.jp/"},
        "metadata": {"identification": {"label": "ja", "prob": 1.0}},
    }
    files = {f"ja_meta/ja_meta_part_{i}.jsonl.zst": jsonl_zst([record]) for i in (1, 2)} | {
        "OSCAR-2301.py": b"import os"
    }
    hub.datasets = {"oscar-corpus/OSCAR-2301": Dataset(files)}
    answer = ask({"oscar": "hf://datasets/oscar-corpus/OSCAR-2301/ja_meta/*.jsonl.zst"})
    assert [(row[0], row[2], row[3]) for row in answer["documents"]] == [
        ("ja_meta_part_1.jsonl.zst", "a-b", "本文です。"),
        ("ja_meta_part_2.jsonl.zst", "a-b", "本文です。"),
    ]
    assert len(hub.downloads()) == 2
    refused = ask({"hub": "oscar-corpus/OSCAR-2301"}, read=False)
    assert "oscar: hf://datasets/oscar-corpus/OSCAR-2301/ja_meta/*.jsonl.zst" in refused["error"]
    missing = ask({"oscar": "hf://datasets/oscar-corpus/OSCAR-2301/jp_meta/*.zst"}, read=False)
    assert "no file matches" in missing["error"]
    single = ask({"oscar": "hf://datasets/oscar-corpus/OSCAR-2301/ja_meta/ja_meta_part_2.jsonl.zst"})
    assert [row[0] for row in single["documents"]] == ["ja_meta_part_2.jsonl.zst"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_dataset_is_answered_by_where_to_accept_its_terms(hub: HubServer, tmp_path: Path, status: int) -> None:
    dataset = Dataset({"a.jsonl.zst": jsonl_zst(RECORDS)}, gated=status)
    hub.datasets = {"oscar-corpus/OSCAR-2301": dataset}
    asker = Asker(hub, tmp_path, HF_TOKEN="hf_x")  # noqa: S106 - no password
    answer = asker({"oscar": "hf://datasets/oscar-corpus/OSCAR-2301/*.zst"})
    asker.close()
    assert answer["error"] == (
        f"The dataset oscar-corpus/OSCAR-2301 is gated: open {hub.endpoint}/datasets/oscar-corpus/OSCAR-2301, "
        "accept its terms, then run `hf auth login` or set HF_TOKEN."
    )
    assert hub.log[0].authorization == "Bearer hf_x"


def test_a_missing_dataset_revision_or_id_is_a_sentence(hub: HubServer, ask: Asker, tmp_path: Path) -> None:
    hub.datasets = {"someone/here": Dataset({"a.parquet": parquet(["あ"])})}
    nowhere = ask({"hub": "someone/nowhere"})
    assert nowhere["error"].startswith(f"There is no dataset someone/nowhere at {hub.endpoint}: check its name")
    revision = ask({"hub": "someone/here", "revision": "v9"})
    assert "has no revision like the one asked for (revision v9)" in revision["error"]
    assert "looks like OWNER/NAME" in ask({"hub": "../pages"})["error"]
    asker = Asker(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert "cannot be read while HF_HUB_OFFLINE is set" in asker({"hub": "someone/here"})["error"]
    asker.close()


def test_too_many_requests_are_waited_for_as_long_as_the_hub_asks(hub: HubServer, ask: Asker) -> None:
    dataset = Dataset({"a.jsonl.zst": jsonl_zst(RECORDS)}, busy=1)
    hub.datasets = {"someone/busy": dataset}
    answer = ask({"hub": "someone/busy"})
    assert [row[3] for row in answer["documents"]] == TEXTS
    assert hub.log[1].path == hub.log[0].path
    assert hub.log[1].at - hub.log[0].at >= 1


def test_a_hub_that_stays_down_is_asked_again_after_growing_waits_and_then_named(hub: HubServer, ask: Asker) -> None:
    hub.datasets = {"someone/down": Dataset({}, down=True)}
    start = time.monotonic()
    answer = ask({"hub": "someone/down"})
    assert "answers HTTP 503, 6 times in a row" in answer["error"]
    gaps = [after.at - before.at for before, after in zip(hub.log, hub.log[1:], strict=False)]
    assert len(gaps) == 5
    assert all(gap >= 0.01 * 2**i for i, gap in enumerate(gaps))
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("ranges", [True, False], ids=["with ranges", "a mirror without ranges"])
def test_a_connection_cut_halfway_is_taken_up_where_it_broke(hub: HubServer, ask: Asker, *, ranges: bool) -> None:
    records: list[dict[str, object]] = [{"id": str(i), "text": os.urandom(3000).hex()} for i in range(200)]
    content = jsonl_zst(records)
    dataset = Dataset({"a.jsonl.zst": content}, cuts=2, ranges=ranges)
    hub.datasets = {"someone/shaky": dataset}
    answer = ask({"hub": "someone/shaky"})
    assert [row[3] for row in answer["documents"]] == [record["text"] for record in records]
    first, second, *rest = hub.downloads()
    assert first.range is None
    assert second.range == f"bytes={len(content) // 2}-{len(content) - 1}"
    assert len(rest) == 1


def test_a_range_of_parquet_cut_halfway_is_taken_up_too(hub: HubServer, ask: Asker) -> None:
    hub.datasets = {"someone/shaky": Dataset({"a.parquet": parquet(TEXTS)}, cuts=3)}
    answer = ask({"parquet": "hf://datasets/someone/shaky"})
    assert [row[3] for row in answer["documents"]] == TEXTS
    assert answer["aside"] == []


def test_other_datasets_with_a_script_or_without_data_are_sentences(hub: HubServer, ask: Asker) -> None:
    datasets = {
        "someone/script": Dataset({"script.py": b"", "raw/part1.jsonl.gz": b""}),
        "someone/pictures": Dataset({"a.png": b"", "README.md": b""}),
    }
    hub.datasets = datasets
    script = ask({"hub": "someone/script"}, read=False)
    assert "jsonl: hf://datasets/someone/script/raw/*.jsonl.gz" in script["error"]
    pictures = ask({"hub": "someone/pictures"}, read=False)
    assert "holds no parquet or JSON lines to read (it has .md, .png)" in pictures["error"]
