"""Bad input, from the command line: a sentence and exit status 1, or set aside and counted; never a traceback.

And never a lost document: whatever stands beside the bad input is in the build. What a stage has to say is checked with
tasks run in this process (`command`); what only a process can show (memory, signals, full disks, locks) with the
installed program (`program`).
"""

import gzip
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from corpus_ja.cli import main
from tests.world import Here, japanese

QUICKSTART = Path(__file__).resolve().parents[1] / "recipes" / "quickstart"
PROGRAM = Path(sys.executable).with_name("corpus-ja")
GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line on stderr of a command that failed, with the folder's name left out."""
        assert self.code == 1, (self.code, self.out, self.err)
        assert "Traceback" not in self.out + self.err
        lines = [line for line in self.err.splitlines() if not line.startswith("(CORPUS_JA_DEBUG")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("corpus-ja: ")
        assert lines[0].isprintable()
        return lines[0].removeprefix("corpus-ja: ")


Command = Callable[..., Said]


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command line in this process, its tasks too."""

    def run(*arguments: str) -> Said:
        monkeypatch.setattr("sys.argv", ["corpus-ja", *arguments])
        monkeypatch.setattr("corpus_ja.executors.open_executor", lambda *_: Here())
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        printed = capfd.readouterr()
        return Said(code, printed.out, printed.err)

    return run


def program(*arguments: str, before: Callable[[], None] | None = None) -> Said:
    """The installed program; `before` is called in its process."""
    run = [str(PROGRAM), *arguments]
    done = subprocess.run(run, capture_output=True, timeout=120, check=False, preexec_fn=before)
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def good(name: str) -> str:
    """A line that is a document."""
    return json.dumps({"text": japanese(name), "id": name}, ensure_ascii=False)


def mix(source: str, *lines: str, name: str = "small") -> str:
    """Write mix.yaml with the one source `s` and more lines; its path."""
    content = f"name: {name}\ntokenizer: {QUICKSTART / 'tokenizer'}\nsequence_length: 64\nsources:\n  s: {{{source}}}\n"
    Path("mix.yaml").write_text(content + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return "mix.yaml"


def documents(count: int = 3, file: str = "s.jsonl") -> None:
    """Write a file of good documents."""
    Path(file).write_text("".join(good(f"{file} {number}") + "\n" for number in range(count)), encoding="utf-8")


def stats(command: Command, build: str = "builds/small") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command("stats", build, "--json").out)
    for source in found["sources"].values():
        assert source["read"]["documents"] == source["kept"]["documents"] + sum(source["dropped"].values())
    return found


def set_aside(source: str = "s") -> list[tuple[str, int, str, str]]:
    """File, row, reason and detail of everything set aside."""
    files = sorted(Path("builds/work/documents").glob(f"{source}-*/*.set_aside.parquet"))
    frame = pl.concat([pl.read_parquet(file) for file in files])
    return [tuple(row) for row in frame.select("file", "row", "reason", "detail").rows()]


def kept(command: Command) -> dict[str, str]:
    """The kept documents by id."""
    assert command("export", "builds/small", "--kept", "kept").code == 0
    frame = pl.concat([pl.read_parquet(file, columns=["id", "text"]) for file in Path("kept").glob("*.parquet")])
    return dict(frame.rows())


# ---- lines ----

DEEP = b"[" * 400 + b"]" * 400
BAD_LINES: dict[bytes, str] = {
    b"{not json": "not_json",
    b'{"text": "after"} more': "not_json",
    b'{"text": "raw \x00 nul"}': "not_json",
    b"\x00" * 100: "not_json",
    b"{" * 100_000: "not_json",
    b'{"text": "x", "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}": "not_json",
    b"[1, 2]": "not_an_object",
    b'"text"': "not_an_object",
    b"5": "not_an_object",
    b"null": "not_an_object",
    b'{"body": "x"}': "no_text",
    b"{}": "no_text",
    b'{"text": null}': "text_null",
    b'{"text": 5}': "text_not_string",
    b'{"text": ["a"]}': "text_not_string",
    b'{"text": ' + DEEP + b"}": "text_not_string",
    b'{"text": ""}': "empty",
    b'{"text": " \\n\\u3000"}': "empty",
    b'{"text": "\xff\xfe"}': "invalid_utf8",
    '{"text": "猫"}'.encode("shift_jis"): "invalid_utf8",
}
ODD_LINES: dict[bytes, tuple[str, str]] = {
    b'{"text": "lone \\ud800 half", "id": "half"}': ("s/half", "lone \ufffd half"),
    b'{"text": "escaped\\u0000nul", "id": "nul\\u0000"}': ("s/nul\x00", "escapednul"),
    b'{"text": "deep id", "id": ' + DEEP + b"}": (f"s/{DEEP.decode()}", "deep id"),
    b'{"text": "long number", "id": 1' + b"0" * 40 + b', "z": NaN}': (f"s/1{'0' * 40}", "long number"),
    b'{"text": "too long a number", "score": 1' + b"0" * 400 + b', "id": "score"}': ("s/score", "too long a number"),
    b'{"text": "a path", "id": "../../etc/passwd"}': ("s/../../etc/passwd", "a path"),
    b'{"text": "an escape \\u001b[31m", "id": "\\u001b[2J"}': ("s/\x1b[2J", "an escape [31m"),
    b'{"text": "an url that is none", "url": 5, "id": "url"}': ("s/url", "an url that is none"),
    b'{"text": "ends <|endoftext|> twice <|endoftext|>", "id": "eos"}': (
        "s/eos",
        "ends <|endoftext|> twice <|endoftext|>",
    ),
    b'{"text": "once", "id": "same"}': ("s/same", "once"),
    b'{"text": "twice", "id": "same"}': ("s/same~3", "twice"),
    b'{"text": "a name like a number given", "id": "same~2"}': ("s/same~2", "a name like a number given"),
    b"": ("", ""),
    b" \t\r": ("", ""),
}


def test_bad_lines_are_set_aside_by_name_and_every_good_document_is_kept(command: Command) -> None:
    lines: list[bytes] = []
    for number, bad in enumerate([*BAD_LINES, *ODD_LINES]):
        lines += [good(f"g{number}").encode(), bad]
    Path("s.jsonl").write_bytes(b"\n".join(lines))
    said = command(
        "build",
        "--mix",
        mix("jsonl: s.jsonl, columns: {score: score}, filters: none", "validation: 0", "duplicates: none"),
    )
    assert (said.code, said.err) == (0, "")
    expected = {f"s/g{number}": japanese(f"g{number}") for number in range(len(BAD_LINES) + len(ODD_LINES))}
    expected |= {name: text for name, text in ODD_LINES.values() if name}
    assert kept(command) == expected
    reasons = [reason for _, _, reason, _ in set_aside()]
    assert reasons == [f"unreadable/{reason}" for reason in BAD_LINES.values()]
    assert [row for _, row, _, _ in set_aside()] == [1 + 2 * number for number in range(len(BAD_LINES))]
    assert all(detail.replace("\u3000", "").isprintable() and len(detail) <= 200 for _, _, _, detail in set_aside())
    source = stats(command)["sources"]["s"]
    assert source["unreadable"] == {
        reason: list(BAD_LINES.values()).count(reason) for reason in sorted(set(BAD_LINES.values()))
    }
    assert "ids that repeat an earlier one: 1;" in said.out
    assert "1 lone surrogates became U+FFFD" in said.out
    assert command("verify", "builds/small").code == 0


# ---- files ----


def cut(name: str, content: bytes, lost: int) -> None:
    Path("s").mkdir(exist_ok=True)
    Path("s", name).write_bytes(content[: len(content) - lost])


def test_files_that_break_off_are_named_and_what_came_before_is_kept(command: Command) -> None:
    content = "".join(good(f"{number}") + "\n" for number in range(400)).encode()
    Path("s").mkdir()
    Path("s/a.jsonl").write_bytes(content)
    for name, packed in {"b.jsonl.gz": gzip.compress(content), "c.jsonl.zst": zstandard.compress(content)}.items():
        cut(name, packed, len(packed) // 4)
    cut("d.jsonl", b"", 0)
    cut("e.jsonl.gz", b"", 0)
    cut("f.jsonl.zst", b"", 0)
    cut("g.jsonl.zst", b"nothing of the kind", 0)
    said = command("build", "--mix", mix("jsonl: s", "duplicates: none"))
    assert (said.code, said.err) == (0, "")
    broken = {file: detail for file, _, reason, detail in set_aside() if reason == "unreadable/truncated"}
    assert sorted(broken) == ["b.jsonl.gz", "c.jsonl.zst", "e.jsonl.gz", "f.jsonl.zst", "g.jsonl.zst"]
    before = [
        int(found[1].replace(",", ""))
        for found in (re.search(r"after ([0-9,]+) whole lines", detail) for detail in broken.values())
        if found
    ]
    source = stats(command)["sources"]["s"]
    assert source["read"]["documents"] == source["kept"]["documents"] == 400 + sum(before)
    assert before[0] > 100
    assert source["unreadable"] == {"empty": 1, "truncated": 5}
    told = " ".join(said.out.split())
    for file, detail in broken.items():
        assert f"s: {file}: {detail}." in told
    assert command("verify", "builds/small").code == 0


def test_broken_parquet_and_text_files_are_named_and_the_others_are_kept(command: Command) -> None:
    Path("p").mkdir()
    Path("t").mkdir()
    pl.DataFrame({"text": [japanese(f"p{n}") for n in range(20)]}).write_parquet("p/good.parquet")
    whole = Path("p/good.parquet").read_bytes()
    Path("p/cut.parquet").write_bytes(whole[:-50])
    Path("p/empty.parquet").write_bytes(b"")
    Path("p/words.parquet").write_bytes(b"PAR1 but nothing else PAR1")
    Path("t/good.txt").write_text(japanese("t"), encoding="utf-8")
    Path("t/empty.txt").write_bytes(b"")
    Path("t/latin.txt").write_bytes("déjà vu".encode("latin-1"))
    Path("t/cut.txt.gz").write_bytes(gzip.compress(b"x" * 10_000)[:-5])
    said = command("build", "--mix", mix("parquet: p", "duplicates: none"), "--set", "sources.t.text=t")
    assert (said.code, said.err) == (0, "")
    sources = stats(command)["sources"]
    assert sources["s"]["kept"]["documents"] == 20
    assert sources["s"]["unreadable"] == {"truncated": 3}
    assert sources["t"]["kept"]["documents"] == 1
    assert sources["t"]["unreadable"] == {"empty": 1, "invalid_utf8": 1, "truncated": 1}


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("jsonl: s.jsom", "s.jsom: there is no such file or folder. There is s.jsonl beside it."),
        ("jsonl: nowhere/s.jsonl", "nowhere: there is no such file or folder."),
        ("jsonl: 'q*.jsonl'", ": no file matches 'q*.jsonl'. It holds"),
        ("parquet: deep", "deep: the folder holds no file for parquet (endings .parquet)."),
        ("jsonl: ~nobody_at_all/x", "~nobody_at_all/x: there is no such home folder."),
        ("jsonl: 'nonsense://x/y'", "nonsense:// is no kind of address that can be read"),
        (
            "jsonl: s.jsonl, where: 'stars > 5'",
            "s.jsonl: where 'stars > 5' names the column 'stars', which none of the file's 3 records has.",
        ),
        ("jsonl: s.jsonl, where: 'id > 5'", "s.jsonl: where 'id > 5' does not fit the data"),
        ("jsonl: s.jsonl, sidecar: nowhere.parquet", "nowhere.parquet: there is no such file or folder."),
        ("jsonl: s.jsonl, sidecar: s.jsonl", "it has no readable parquet footer"),
        (
            "jsonl: s.jsonl, sidecar: twice.parquet",
            "twice.parquet: the sidecar has 2 rows whose ids repeat, as does 'a'.",
        ),
        ("jsonl: s.jsonl, sidecar: nameless.parquet", "nameless.parquet: a sidecar needs a column id; it has score."),
        ("parquet: nameless.parquet", "nameless.parquet: there is no column 'text'; the columns are score."),
        ("parquet: nameless.parquet, columns: {text: score}", "the column 'score' holds double and no text"),
        ("jsonl: s.jsonl, weight: 1, max_epochs: 1", ""),
    ],
)
def test_a_source_that_cannot_be_read_is_a_sentence_that_names_it(command: Command, source: str, wanted: str) -> None:
    documents()
    Path("deep").mkdir()
    pl.DataFrame({"id": ["a", "a", "b"], "score": [1.0, 2.0, 3.0]}).write_parquet("twice.parquet")
    pl.DataFrame({"score": [1.0]}).write_parquet("nameless.parquet")
    said = command("build", "--mix", mix(source))
    if wanted:
        assert wanted in said.sentence
        assert not Path("builds/small/manifest.json").exists()
    else:
        assert said.code == 0


def test_ids_of_a_sidecar_that_belong_to_no_document_are_counted(command: Command) -> None:
    documents()
    ids = ["s.jsonl 0", "s.jsonl 2", "nobody", "nobody else"]
    pl.DataFrame({"id": ids, "score": [1.0, 2.0, 3.0, 4.0]}).write_parquet("scores.parquet")
    said = command("build", "--mix", mix("jsonl: s.jsonl, sidecar: scores.parquet"))
    assert said.code == 0
    assert "2 ids of the sidecar belong to no document" in " ".join(said.out.split())
    assert stats(command)["sources"]["s"]["kept"]["documents"] == 3


# ---- amounts ----


def test_a_budget_larger_than_what_there_is_names_both_numbers_and_packs_nothing(command: Command) -> None:
    documents()
    for lines, wanted in (
        (["budget: 1B"], r"The budget asks for 1,000,000,000 tokens, but the sources hold \d[\d,]* \(s \d"),
        (["budget: 1B", "validation: 0"], r"but the sources hold \d"),
    ):
        sentence = command("build", "--mix", mix("jsonl: s.jsonl", *lines)).sentence
        assert re.search(wanted, sentence), sentence
        assert "on_shortage: shrink" in sentence
    sentence = command("build", "--mix", mix("jsonl: s.jsonl, weight: 1", "budget: 1B")).sentence
    assert re.search(r"asks for 1,000,000,000 tokens of the source `s`, but it can give \d", sentence), sentence
    assert not list(Path("builds/work").glob("shards/*/*.parquet"))
    assert command("build", "--mix", mix("jsonl: s.jsonl", "budget: 1B", "on_shortage: shrink")).code == 0


def test_a_source_without_documents_is_a_note_and_the_others_are_built(command: Command) -> None:
    documents()
    Path("blank.jsonl").write_bytes(b"\n" * 1000)
    Path("chinese.jsonl").write_text(
        '{"text": "这是一篇关于城市发展的文章。我们看到了许多变化，人们的生活水平不断提高。"}\n' * 2, encoding="utf-8"
    )
    said = command(
        "build", "--mix", mix("jsonl: s.jsonl"), "--set", "sources.blank.jsonl=blank.jsonl",
        "--set", "sources.zh={jsonl: chinese.jsonl, language: ja}",
    )  # fmt: skip
    assert said.code == 0
    told = " ".join(said.out.split())
    assert "blank: not one document was read of its 1 file: they are empty." in told
    assert "zh: not one of its 2 documents is kept; most fell as language." in told
    assert stats(command)["sources"]["s"]["kept"]["documents"] == 3
    assert command("verify", "builds/small").code == 0


def test_a_mix_of_which_nothing_is_left_says_so_and_its_empty_shards_verify(command: Command) -> None:
    Path("s.jsonl").write_text('{"text": "短い。"}\n{"text": "短い文。"}\n', encoding="utf-8")
    said = command("build", "--mix", mix("jsonl: s.jsonl, language: ja"))
    assert said.code == 0
    told = " ".join(said.out.split())
    assert "The training shards are empty: no document is left for them." in told
    assert "s: not one of its 2 documents is kept; most fell as corpus_ja." in told
    assert stats(command)["shards"]["train"] == {"files": 1, "rows": 0, "tokens": 0}
    assert command("verify", "builds/small").code == 0
    assert command("export", "builds/small", "--kept", "kept").code == 0
    assert command("export", "builds/small", "--verdicts", "verdicts.parquet").code == 0
    assert pl.read_parquet("verdicts.parquet").height == 2


def test_a_source_whose_documents_are_all_the_same_is_stopped_by_max_removal(command: Command) -> None:
    Path("s.jsonl").write_text(
        (json.dumps({"text": japanese("same")}, ensure_ascii=False) + "\n") * 50, encoding="utf-8"
    )
    sentence = command("build", "--mix", mix("jsonl: s.jsonl")).sentence
    assert (
        "Duplicates would remove 49 of the 50 living documents of the source `s` (98%), "
        "more than `max_removal` allows (60%)" in sentence
    )
    assert "`max_removal: 100%`" in sentence
    assert command("build", "--mix", mix("jsonl: s.jsonl, max_removal: 100%")).code == 0
    assert stats(command)["sources"]["s"]["kept"]["documents"] == 1


# ---- folders ----


@pytest.mark.parametrize("option", ["--output", "--work"])
@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("s.jsonl", "exists|not a directory"),
        ("s.jsonl/x", "not a directory"),
        ("/proc/corpus", "no such file|not permitted|denied"),
    ],
)
def test_a_folder_that_cannot_be_written_is_a_sentence(command: Command, option: str, place: str, reason: str) -> None:
    documents()
    sentence = command("build", "--mix", mix("jsonl: s.jsonl"), option, place).sentence
    assert place.split("/", maxsplit=1)[0] in sentence
    assert re.search(reason, sentence.lower()), sentence


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished build, to copy and to damage."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("corpus_ja.executors.open_executor", lambda *_: Here())
        documents(30)
        path = mix("jsonl: s.jsonl", "shards: 2")
        patch.setattr("sys.argv", ["corpus-ja", "build", "--mix", path])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
    return folder


STAGES = ("documents", "chance", "language", "signals", "signatures", "rules", "duplicates", "tokens", "mix", "shards")


def test_every_damaged_file_of_the_work_folder_is_named_with_what_to_delete(finished: Path, command: Command) -> None:
    """A lost disk: any one file cut in half, emptied or overwritten, and all that was made of it to be made again."""
    shards = {path.name: path.read_bytes() for path in (finished / "builds/small/shards").iterdir()}
    found = sorted(path.relative_to(finished) for path in (finished / "builds/work").rglob("*") if path.is_file())
    files = [
        path
        for path in found
        if path.name not in {"record.json", "inputs.json"} and not re.search("band_[1-9]", path.name)
    ]
    answered = []
    for number, file in enumerate(files):
        shutil.rmtree("builds", ignore_errors=True)
        shutil.copytree(finished, ".", dirs_exist_ok=True)
        content = file.read_bytes()
        file.write_bytes((content[: len(content) // 2], b"", b"\x00" * len(content))[number % 3])
        for stage in STAGES[STAGES.index(file.parts[2]) + 1 :]:
            shutil.rmtree(Path("builds/work", stage), ignore_errors=True)
        Path("builds/small/manifest.json").unlink()
        said = command("build", "--mix", "mix.yaml")
        if said.code:
            named = re.search(
                r"(\S+) is damaged \(.*\): delete the folder (\S+) and run the same command again", said.sentence
            )
            assert named, (file, said.sentence)
            assert Path(named[1]) == file
            answered.append(file)
            shutil.rmtree(named[2])
            said = command("build", "--mix", "mix.yaml")
            assert said.code == 0, (file, said.err)
        assert {path.name: path.read_bytes() for path in Path("builds/small/shards").iterdir()} == shards, file
    assert {file.parts[2] for file in answered} >= set(STAGES[:8]), answered


def test_a_file_of_the_work_folder_that_is_gone_is_named_with_what_to_delete(finished: Path, command: Command) -> None:
    shutil.copytree(finished, ".", dirs_exist_ok=True)
    (signals,) = Path("builds/work/signals").glob("*/00000.parquet")
    signals.unlink()
    (rules,) = Path("builds/work/rules").glob("*")
    shutil.rmtree(rules)
    said = command("build", "--mix", "mix.yaml", "--set", "sources.s.filters=[corpus_ja]")
    assert (
        f"{signals} is gone, but the report of its stage is there: delete the folder {signals.parent}" in said.sentence
    )
    shutil.rmtree(signals.parent)
    assert command("build", "--mix", "mix.yaml", "--set", "sources.s.filters=[corpus_ja]").code == 0


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b'{"format": 1}', b"[" * 100_000],
    ids=["empty", "cut", "list", "bytes", "short", "deep"],
)
def test_a_damaged_manifest_is_a_sentence_and_the_build_is_made_again(
    finished: Path, command: Command, content: bytes
) -> None:
    shutil.copytree(finished, ".", dirs_exist_ok=True)
    whole = Path("builds/small/manifest.json").read_bytes()
    Path("builds/small/manifest.json").write_bytes(content)
    for arguments in (
        ["stats", "builds/small"],
        ["verify", "builds/small"],
        ["export", "builds/small", "--kept", "kept"],
        ["clean"],
    ):
        assert "builds/small/manifest.json cannot be read" in command(*arguments).sentence
    assert command("build", "--mix", "mix.yaml").code == 0
    made, before = (json.loads(text) for text in (Path("builds/small/manifest.json").read_bytes(), whole))
    assert made["train"] == before["train"]


def test_a_build_that_is_none_is_a_sentence(command: Command) -> None:
    Path("folder").mkdir()
    for arguments, wanted in (
        (["stats"], "There is no build under builds/"),
        (["stats", "nowhere"], "There is no folder nowhere"),
        (["verify", "folder"], "folder has no manifest.json, so it is not a finished build"),
        (["export", "folder"], "name either --kept DIR or --verdicts FILE"),
        (
            ["export", "folder", "--kept", "k", "--format", "csv"],
            "--format csv is not known; it is parquet or jsonl.zst.",
        ),
        (["export", "folder", "--verdicts", "v.csv"], "end the name in .parquet or .jsonl"),
        (["clean"], "There is no work folder"),
    ):
        assert wanted in command(*arguments).sentence


def test_damaged_shards_are_found_by_verify(finished: Path, command: Command) -> None:
    shutil.copytree(finished, ".", dirs_exist_ok=True)
    first, second = sorted(Path("builds/small/shards").glob("train-*"))
    first.write_bytes(first.read_bytes()[:-9])
    second.unlink()
    said = command("verify", "builds/small")
    assert said.code == 1
    assert f"shards/{first.name} has another SHA-256 than the manifest says" in said.out
    assert f"shards/{second.name} is missing" in said.out


# ---- the installed program ----


def test_options_that_are_none_are_a_usage_error() -> None:
    for arguments in (
        ["build", "--mix", "x", "--workers", "0"],
        ["build", "--mix", "x", "--executor", "nonsense"],
        ["build"],
        ["nonsense"],
    ):
        said = program(*arguments)
        assert said.code == 2
        assert "Usage: " in said.err
        assert "Traceback" not in said.err
    assert "nonsense" in program("build", "--mix", "x", "--executor", "nonsense").err


def test_a_mistake_in_a_mix_is_one_sentence_of_the_program() -> None:
    documents()
    assert program("build", "--mix", "nowhere.yaml").sentence == "There is no mix file nowhere.yaml."
    assert program("build", "--mix", mix("path: s.jsonl")).sentence.startswith(
        "mix.yaml line 5: the source `s` has no key `path`; "
    )
    assert program("build", "--mix", mix("jsonl: s.jsonl"), "--set", "seed").sentence.startswith(
        "--set seed: write it as key=value"
    )


def peak_memory(folder: Path = Path("builds/work")) -> int:
    """The largest peak memory that a task reported."""
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("*.json")]
    return max(int(report.get("peak_memory_bytes", 0)) for report in reports if isinstance(report, dict))


def test_a_line_of_200_megabytes_and_ten_million_newlines_are_passed_within_the_memory_of_a_worker() -> None:
    with Path("s.jsonl").open("wb") as file:
        file.write(good("first").encode() + b'\n{"text": "')
        file.writelines(b"x" * 10_000_000 for _ in range(20))
        file.write(b'"}\n' + good("second").encode() + b"\n" * 10_000_000 + good("third").encode())
        file.write(b'\n{"text": "' + b"\\n" * 10_000_000 + b'"}\n{"text": "' + "行\\n".encode() * 10_000_000 + b'"}\n')
        file.write(json.dumps({"text": "あ" * 10_000_000, "id": "one character"}).encode() + b"\n")
    said = program("build", "--mix", mix("jsonl: s.jsonl", "validation: 0"), "--workers", "1")
    assert (said.code, said.err) == (0, "")
    manifest = json.loads(Path("builds/small/manifest.json").read_bytes())
    assert manifest["sources"]["s"]["unreadable"] == {"empty": 1, "too_long": 1}
    assert manifest["sources"]["s"]["kept"]["documents"] == 5
    assert peak_memory() < 1.5 * GIGABYTE


def test_a_document_of_60_megabytes_passes_within_the_memory_of_a_worker() -> None:
    text = "\n".join(japanese(f"long {number}", 12) for number in range(1000))
    text = text * (60_000_000 // len(text.encode()))
    with Path("s.jsonl").open("w", encoding="utf-8") as file:
        file.write(json.dumps({"text": text, "id": "long"}, ensure_ascii=False) + "\n" + good("short"))
    said = program(
        "build",
        "--mix",
        mix("jsonl: s.jsonl", "validation: 0"),
        "--workers",
        "1",
        "--set",
        f"decontaminate.sets=[{{path: {QUICKSTART / 'evaluation'}}}]",
    )
    assert (said.code, said.err) == (0, "")
    assert json.loads(Path("builds/small/manifest.json").read_bytes())["sources"]["s"]["kept"]["documents"] == 2
    assert peak_memory() < 1.5 * GIGABYTE


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mount a tiny file system where that is allowed; yields whether it was."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    mounted = (
        shutil.which("mount") is not None and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_a_sentence_and_the_build_goes_on_when_there_is_space() -> None:
    """On a real full file system where one may be mounted; elsewhere at the system's limit on a file's size."""
    Path("s.jsonl").write_text("".join(good(f"n{number}") + "\n" for number in range(4000)), encoding="utf-8")
    path = mix("jsonl: s.jsonl", "duplicates: none")
    with small_disk(Path("disk"), 300_000) as mounted:
        if mounted:
            said = program("build", "--mix", path, "--output", "disk/small", "--workers", "1")
            assert "No space left" in said.sentence
            assert "free space" in said.sentence
            assert "run the same command again; nothing finished is lost" in said.sentence
            assert not [file for file in Path("disk").rglob(".partial-*") if file.is_file()]
            subprocess.run(["mount", "-o", "remount,size=200000000", str(Path("disk").resolve())], check=True)
        else:
            said = program(
                "build",
                "--mix",
                path,
                "--output",
                "disk/small",
                "--workers",
                "1",
                before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
            )
            assert "File too large" in said.sentence
        again = program("build", "--mix", path, "--output", "disk/small", "--workers", "1")
        assert again.code == 0, again.err
        assert program("verify", "disk/small").code == 0


def test_a_full_disk_under_the_program_itself_is_a_sentence(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    documents()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "builds/small/manifest.json")

    monkeypatch.setattr("corpus_ja.pipeline.publish", full)
    assert command("build", "--mix", mix("jsonl: s.jsonl")).sentence.startswith(
        "No space left for builds/small/manifest.json: free space"
    )


def start(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [str(PROGRAM), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def children(process: int) -> Sequence[int]:
    import psutil

    return [child.pid for child in psutil.Process(process).children(recursive=True)]


def test_ctrl_c_ends_with_a_sentence_and_no_process_and_the_next_run_goes_on() -> None:
    Path("s.jsonl").write_text("".join(good(f"n{number}") + "\n" for number in range(3000)), encoding="utf-8")
    path = mix("jsonl: s.jsonl")
    with start("build", "--mix", path, "--workers", "1") as running:
        wait_for(lambda: children(running.pid))
        workers = children(running.pid)
        wait_for(lambda: list(Path("builds/work").glob("documents/*/ids.json")))
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert err.decode().strip() == "corpus-ja: stopped; run the same command again to go on where it was."
    assert b"Traceback" not in out
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), 10)
    again = program("build", "--mix", path, "--workers", "1")
    assert again.code == 0
    assert "documents:" not in again.out, "what was read is not read again"


def test_a_second_build_into_the_same_folder_is_a_sentence_and_the_first_one_ends_well() -> None:
    Path("s.jsonl").write_text("".join(good(f"n{number}") + "\n" for number in range(2000)), encoding="utf-8")
    path = mix("jsonl: s.jsonl")
    with start("build", "--mix", path, "--workers", "1") as running:
        wait_for(lambda: children(running.pid))
        said = program("build", "--mix", path, "--workers", "1")
        assert (
            "Another build is writing to builds/small; wait for it, or choose another folder with --output."
            in said.sentence
        )
        running.communicate(timeout=100)
    assert running.returncode == 0
    assert program("verify", "builds/small").code == 0
