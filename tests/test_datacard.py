"""The data card: the Hub's form, the manifest's numbers, the same bytes for the same build, and no name that is markup."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from corpus_ja import datacard, publishing
from corpus_ja.cli import app
from corpus_ja.datacard import CARD, card_of, license_ids, metadata, plain_markdown
from corpus_ja.errors import CorpusError, ManifestError
from corpus_ja.storage.manifest import MANIFEST, Manifest
from corpus_ja.storage.shards import replacing
from corpus_ja.verification import check
from tests.hub_server import HubServer
from tests.test_hub_build import build as build_from_hub
from tests.test_hub_build import repositories
from tests.world import Built, World, japanese, write_lines

LICENSED = {"sources.river.license": "CC BY-SA 4.0", "sources.harbour.license": "A licence of our own"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("carded"))


@pytest.fixture(scope="module")
def built(world: World) -> Built:
    return world.build(changes=LICENSED)


def card(built: Built) -> DatasetCard:
    return DatasetCard((built.folder / CARD).read_text(encoding="utf-8"))


def data_of(read: DatasetCard) -> dict[str, Any]:
    found: dict[str, Any] = read.data.to_dict()  # type: ignore[no-untyped-call]
    return found


def test_every_build_has_a_card_whose_metadata_the_hubs_classes_read_back(built: Built) -> None:
    data = data_of(card(built))
    assert data == metadata(built.manifest)
    assert data["language"] == ["en", "ja"]
    assert data["license"] == ["cc-by-sa-4.0", "other", "unknown"]
    assert data["size_categories"] == ["n<1K"]
    assert data["task_categories"] == ["text-generation"]
    assert [file["split"] for file in data["configs"][0]["data_files"]] == ["train", "validation"]
    for file in data["configs"][0]["data_files"]:
        assert list(built.folder.glob(file["path"]))


def test_the_card_has_the_manifests_numbers_and_says_what_nobody_stated(built: Built) -> None:
    text = card(built).text
    manifest = built.manifest
    assert f"{sum(shard.tokens for shard in manifest.train):,} training tokens" in text
    for name, source in manifest.sources.items():
        rows = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
        assert any(f"| {source.taken.tokens:,} |" in row for row in rows)
        assert any(f"| {source.read.documents:,} |" in row and f"| {source.kept.documents:,} |" in row for row in rows)
    assert "| CC BY-SA 4.0 |" in text
    assert "The licence of hill: not stated in the mix." in text
    assert re.search(r"\| tidy_ja\.short \| characters_without_spaces ≥ 60 \| \d+ \|", text)
    assert "quiz (1 items, 1 found)" in text
    assert str(built.folder.parent) not in text


def test_the_same_build_has_the_same_card_whoever_made_it(world: World, built: Built, tmp_path: Path) -> None:
    again = world.build(changes=LICENSED, work=tmp_path / "work", output=tmp_path / "again")
    assert (again.folder / CARD).read_bytes() == (built.folder / CARD).read_bytes()
    assert again.shards == built.shards
    assert again.manifest.fingerprint == built.manifest.fingerprint
    assert card_of(again.manifest) == card_of(built.manifest)


def test_outside_held_out_files_are_named_without_their_folder(world: World, tmp_path: Path) -> None:
    write_lines(tmp_path / "private" / "test.jsonl", [{"text": japanese(f"held {n}", 6)} for n in range(3)])
    held = world.build("held", {"heldout": [str(tmp_path / "private" / "test.jsonl")]})
    text = (held.folder / CARD).read_text(encoding="utf-8")
    assert "| heldout_1 | held-out local files test.jsonl (jsonl) |" in text
    assert "private" not in text


def test_the_card_stands_before_the_manifest_does(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    original = replacing

    @contextmanager
    def noting(path: Path) -> Iterator[Path]:
        with original(path) as temporary:
            yield temporary
        written.append(path.name)

    monkeypatch.setattr(publishing, "replacing", noting)
    world.build(changes=LICENSED, output=tmp_path / "noted")
    assert written == [CARD, MANIFEST]


def test_a_build_of_an_older_version_works_without_a_card_and_without_rules(built: Built, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(built.folder, old)
    (old / CARD).unlink()
    values = json.loads((old / MANIFEST).read_text(encoding="utf-8"))
    del values["rules"]
    for source in values["sources"].values():
        del source["commit"]
    (old / MANIFEST).write_text(json.dumps(values), encoding="utf-8")
    assert check(old) == []
    runner = CliRunner()
    assert runner.invoke(app, ["stats", str(old)]).exit_code == 0
    assert runner.invoke(app, ["stats", str(old), str(built.folder)]).exit_code == 0
    assert "Rules: none are recorded." in datacard.read_card(old)


def test_a_folder_with_the_card_as_its_readme_loads_with_datasets(built: Built, tmp_path: Path) -> None:
    place = tmp_path / "repository"
    shutil.copytree(built.folder / "shards", place / "shards")
    shutil.copyfile(built.folder / CARD, place / "README.md")
    program = (
        "import json, sys\nfrom datasets import load_dataset\n"
        "found = load_dataset(sys.argv[1], cache_dir=sys.argv[2])\n"
        "print(json.dumps({name: split.num_rows for name, split in found.items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(place), str(tmp_path / "cache")], capture_output=True, text=True, check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = built.manifest
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "train": sum(shard.rows for shard in manifest.train),
        "validation": sum(shard.rows for shard in manifest.validation),
    }


def test_the_commit_of_a_source_on_the_hub_stands_in_the_card(tmp_path: Path) -> None:
    with HubServer(repositories()) as hub:
        done = build_from_hub(hub, tmp_path)
        assert done.returncode == 0, done.stderr
        commits = {name: dataset.commit for name, dataset in hub.datasets.items()}
    text = (tmp_path / "builds" / "from-the-hub" / CARD).read_text(encoding="utf-8")
    assert f"someone/wikipedia (Hub, split train) | `{commits['someone/wikipedia']}`" in text
    assert commits["crawl/OSCAR-2301"] in text
    assert data_of(DatasetCard(text))["source_datasets"] == ["someone/wikipedia"]
    assert "The revision of" not in text


# --------------------------------------------------------------------------------------------------------------- details


@pytest.mark.parametrize(
    ("stated", "ids"),
    [
        (None, ["unknown"]),
        ("  ", ["unknown"]),
        ("MIT", ["mit"]),
        ("CC BY-SA 3.0", ["cc-by-sa-3.0"]),
        ("cc0", ["cc0-1.0"]),
        ("Apache-2.0", ["apache-2.0"]),
        ("CC BY 4.0 International", ["cc-by-4.0"]),
        ("MIT or Apache-2.0", ["mit", "apache-2.0"]),
        ("CC BY-SA 3.0, GFDL", ["cc-by-sa-3.0", "gfdl"]),
        ("ask the publisher", ["other"]),
    ],
)
def test_licences_become_the_hubs_identifiers(stated: str | None, ids: list[str]) -> None:
    assert license_ids(stated) == ids


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_stated_licence_is_some_identifier(stated: str) -> None:
    assert license_ids(stated)
    assert set(license_ids(stated)) <= {*datacard.LICENSES, "unknown", "other"}


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_name_is_markup_a_line_or_a_cell(name: str) -> None:
    shown = plain_markdown(name)
    assert shown.isprintable()
    assert "<" not in shown
    assert ">" not in shown
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*\[\]]", shown)


def renamed(manifest: Manifest, name: str, **more: Any) -> Manifest:  # noqa: ANN401 - fields of a manifest
    values = json.loads(manifest.model_dump_json())
    values["sources"][name] = values["sources"].pop("river") | more
    values["rules"][name] = values["rules"].pop("river")
    values["mix"]["sources"][name] = values["mix"]["sources"].pop("river")
    values["source_names"] = list(values["sources"])
    return Manifest.model_validate(values)


def test_hostile_names_and_licences_change_neither_the_metadata_nor_the_tables(built: Built) -> None:
    hostile = "a|b\n---\nlicense: evil\n---\n<script>alert(1)</script> [x](javascript:y) \x1b[31m \u202e `code`"
    manifest = renamed(built.manifest, hostile, license=hostile, notes=[hostile])
    content = card_of(manifest)
    read = DatasetCard(content)
    assert data_of(read)["license"] == ["other", "unknown"]
    assert "<script" not in read.text
    assert "\x1b" not in content
    assert "\u202e" not in content
    assert content.count("\n---\n") == 1  # of the metadata, and none of a name's
    widths: dict[int, list[str]] = {}
    for line in read.text.splitlines():
        if line.startswith("|"):
            cells = len(re.findall(r"(?<!\\)\|", line))
            widths.setdefault(cells, []).append(line)
    plain = DatasetCard(card_of(built.manifest)).text
    assert set(widths) == {len(re.findall(r"(?<!\\)\|", line)) for line in plain.splitlines() if line.startswith("|")}


def test_size_categories_follow_the_rows(built: Built) -> None:
    for rows, name in ((0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (5 * 10**6, "1M<n<10M"), (10**12, "n>1T")):
        shard = built.manifest.train[0].model_copy(update={"rows": rows})
        manifest = built.manifest.model_copy(update={"train": [shard], "validation": []})
        assert metadata(manifest)["size_categories"] == [name]
        assert [file["split"] for file in metadata(manifest)["configs"][0]["data_files"]] == ["train"]


# --------------------------------------------------------------------------------------------------------------- the Hub


class Validator(BaseHTTPRequestHandler):
    """The Hub's `/api/validate-yaml`: refuses a card whose text holds `refuse me`."""

    asked: list[tuple[str, dict[str, str]]]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        refused = "refuse me" in body["content"]
        answer = b'"language[0]" must be a code' if refused else b""
        self.send_response(400 if refused else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@contextmanager
def validating(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict[str, str]]]]:
    """A local Hub that validates cards; the requests it got."""
    from huggingface_hub import constants

    asked: list[tuple[str, dict[str, str]]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Validator,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_hub_is_sent_the_card_and_nothing_else(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    with validating(monkeypatch) as asked:
        answer = CliRunner().invoke(app, ["stats", str(built.folder), "--check-card"])
    assert answer.exit_code == 0, answer.exception
    assert "The Hub accepts" in answer.stdout
    assert asked == [
        ("/api/validate-yaml", {"repoType": "dataset", "content": (built.folder / CARD).read_text(encoding="utf-8")})
    ]


def test_what_the_hub_refuses_is_told_in_its_words(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(built.folder, copy)
    content = (copy / CARD).read_text(encoding="utf-8")
    (copy / CARD).write_text(f"{content}\nrefuse me\n", encoding="utf-8")
    with validating(monkeypatch):
        answer = CliRunner().invoke(app, ["stats", str(copy), "--check-card"])
    assert isinstance(answer.exception, ManifestError)
    assert "does not accept" in str(answer.exception)
    assert '"language[0]" must be a code' in str(answer.exception)


def test_without_a_connection_the_check_is_one_sentence(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    answer = CliRunner().invoke(app, ["stats", str(built.folder), "--check-card"])
    assert isinstance(answer.exception, CorpusError)
    assert "http://127.0.0.1:9 cannot be asked about the data card" in str(answer.exception)
    with pytest.raises(CorpusError, match="metadata of the data card cannot be read"):
        datacard.ask_hub("---\n- a\n- list\n---\n")


def test_the_command_line_starts_without_the_hubs_library() -> None:
    program = "import sys, corpus_ja.cli, corpus_ja.publishing; print('huggingface_hub' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
