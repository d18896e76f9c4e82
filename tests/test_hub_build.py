"""A whole build whose sources and tokenizer come from the Hub, through the command line, against a local server of its
protocol.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpus_ja.storage.manifest import read_manifest
from tests.conftest import REPOSITORY
from tests.hub_server import Dataset, HubServer

QUICKSTART = REPOSITORY / "recipes" / "quickstart"
MIX = """
name: from-the-hub
tokenizer: someone/tokenizer
sequence_length: 512
validation: 5%
sources:
  wikipedia_ja: {hub: someone/wikipedia, columns: {id: curid}, language: ja, filters: [wikipedia_ja]}
  oscar_ja: {oscar: "hf://datasets/crawl/OSCAR-2301/ja_meta/*.jsonl.zst", language: ja, filters: [oscar_ja, corpus_ja], clean: {menus: true}}
"""


def repositories() -> dict[str, Dataset]:
    data, tokenizer = QUICKSTART / "data", QUICKSTART / "tokenizer"
    return {
        "someone/wikipedia": Dataset(
            {"data/train-00000-of-00001.parquet": (data / "wikipedia_ja.parquet").read_bytes()}
        ),
        "crawl/OSCAR-2301": Dataset(
            {
                "OSCAR-2301.py": b"# a loading script that nobody runs",
                "ja_meta/ja_meta_part_1.jsonl.zst": (data / "oscar_ja_part_1.jsonl.zst").read_bytes(),
            }
        ),
        "someone/tokenizer": Dataset({path.name: path.read_bytes() for path in tokenizer.iterdir()}),
    }


def build(hub: HubServer, folder: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING_FACE"))}
    environment = {
        **kept,
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(folder / "home"),
        "NO_PROXY": "127.0.0.1",
        "CORPUS_JA_RETRY_WAIT": "0.01",
    }
    (folder / "mix.yaml").write_text(MIX, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "corpus_ja.cli", "build", "--mix", "mix.yaml", "--workers", "1"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_sources_and_tokenizer_come_from_the_hub_at_a_commit_and_a_second_build_redoes_nothing(tmp_path: Path) -> None:
    with HubServer(repositories()) as hub:
        first = build(hub, tmp_path)
        assert first.returncode == 0, first.stderr
        hub.log.clear()
        again = build(hub, tmp_path)
        assert "Nothing to do" in again.stdout
        assert not [request for request in hub.downloads() if "parquet" in request.path or "jsonl" in request.path]
        commit = hub.datasets["someone/tokenizer"].commit
    manifest = read_manifest(tmp_path / "builds" / "from-the-hub")
    assert (manifest.tokenizer.name, manifest.tokenizer.revision) == ("someone/tokenizer", commit)
    assert manifest.sources["wikipedia_ja"].kept.documents == 40
    assert manifest.sources["oscar_ja"].kept.documents >= 40
    shard = pq.read_schema(tmp_path / "builds" / "from-the-hub" / "shards" / "train-00000-of-00001.parquet")
    assert json.loads(shard.metadata[b"corpus_ja"])["tokenizer"]["name"] == "someone/tokenizer"


@pytest.mark.parametrize(
    ("repository", "gated", "sentence"),
    [
        ("crawl/OSCAR-2301", 401, "HF_TOKEN"),
        ("someone/tokenizer", 401, "HF_TOKEN"),
        ("someone/tokenizer", 0, "neither a folder"),
    ],
)
def test_what_the_hub_refuses_is_a_sentence_with_the_remedy(
    tmp_path: Path, repository: str, gated: int, sentence: str
) -> None:
    found = repositories()
    if gated:
        found[repository].gated = gated
    else:
        del found[repository]
    with HubServer(found) as hub:
        done = build(hub, tmp_path)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
