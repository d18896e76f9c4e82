"""A mix file, whatever is in it, is a mix or one sentence: the file, the line, the key, and what to write instead."""

import functools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus_ja.config import expand, load_mix
from corpus_ja.errors import ConfigError, CorpusError
from corpus_ja.stages import tokens
from corpus_ja.stages.rules import parse_rule_set
from corpus_ja.storage.evaluation import read_jglue

QUICKSTART = Path(__file__).resolve().parents[1] / "recipes" / "quickstart"
MIX = f"""name: small
tokenizer: {QUICKSTART / "tokenizer"}
sources:
  web: {{jsonl: web.jsonl}}
"""


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def _remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not depend on the mix's own text is done once, so that thousands of mixes can be tried."""
    monkeypatch.setattr("corpus_ja.config.parse_rule_set", functools.cache(parse_rule_set))
    monkeypatch.setattr("corpus_ja.stages.tokens.describe", functools.cache(tokens.describe))
    monkeypatch.setattr("corpus_ja.config.read_jglue", functools.cache(lambda folder: list(read_jglue(folder))))


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    return tmp_path / "mix.yaml"


def complaint(mix: Path, content: str | bytes, *overrides: str) -> str:
    """The sentence that answers a mix; without the folder, which differs from run to run."""
    mix.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    with pytest.raises(CorpusError) as caught:
        load_mix(mix, overrides)
    assert type(caught.value).__module__ == "corpus_ja.errors"
    return str(caught.value).replace(f"{mix.parent}/", "")


# ---- keys ----


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("sequnce_length: 64", "line 5: a mix has no key `sequnce_length`; did you mean `sequence_length`?"),
        ("Seed: 1", "did you mean `seed`?"),
        ("on-shortage: fill", "did you mean `on_shortage`?"),
        ("budget_tokens: 1B", "line 5: a mix has no key `budget_tokens`; here it is called `budget`."),
        ("sequence_len: 64", "here it is called `sequence_length`."),
        ("max_seq_length: 64", "here it is called `sequence_length`."),
        ("datasets: {}", "here it is called `sources`."),
        ("dedup: minhash", "here it is called `duplicates`."),
        ("num_workers: 4", "here it is called `executor: {workers: N}`."),
        ("output_dir: builds", "use the option --output."),
        ("weight: 1", "a mix has no key `weight`; `weight` stands under a source."),
        ("threshold: 0.8", "`threshold` stands under `duplicates`."),
        ("duplicates: {treshold: 0.8}", "`duplicates` has no key `treshold`; did you mean `threshold`?"),
        ("duplicates: {ngram: 5}", "here it is called `characters`."),
        ("executor: {worker: 2}", "did you mean `workers`?"),
        ("decontaminate: {sets: [{pth: jglue}]}", "`decontaminate.sets.0` has no key `pth`; did you mean `path`?"),
        ("decontaminate: {set: [{path: jglue}]}", "did you mean `sets`?"),
        ("xyzzy: 1", "a mix has no key `xyzzy`; it may have: name, tokenizer,"),
    ],
)
def test_a_misspelt_key_is_answered_by_the_right_one(mix: Path, line: str, wanted: str) -> None:
    assert wanted in complaint(mix, f"{MIX}{line}\n")


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (
            "path: web.jsonl",
            "the source `web` has no key `path`; the key says what the files are: write `parquet`, `jsonl`",
        ),
        ("type: jsonl, jsonl: web.jsonl", "the key says what the files are"),
        ("csv: web.csv", "the key says what the files are"),
        ("json: web.jsonl", "here it is called `jsonl`."),
        ("dataset: someone/something", "here it is called `hub`."),
        ("jsonl: web.jsonl, langauge: ja", "the source `web` has no key `langauge`; did you mean `language`?"),
        ("jsonl: web.jsonl, ratio: 0.5", "here it is called `weight`."),
        ("jsonl: web.jsonl, text_column: body", "here it is called `columns: {text: NAME}`."),
        ("jsonl: web.jsonl, filter: [corpus_ja]", "here it is called `filters`."),
        (
            "jsonl: web.jsonl, budget: 1B",
            "the source `web` has no key `budget`; `budget` stands at the top of the mix.",
        ),
        ("jsonl: web.jsonl, clean: {menu: true}", "`sources.web.clean` has no key `menu`; did you mean `menus`?"),
        ("jsonl: web.jsonl, read: {file: 3}", "`sources.web.read` has no key `file`; did you mean `files`?"),
        ("language: ja", "a source names exactly one of hub, parquet, jsonl, text, oscar, warc; it has none"),
        ("jsonl: a, text: b", "exactly one of hub, parquet, jsonl, text, oscar, warc; it has jsonl and text"),
    ],
)
def test_a_misspelt_key_of_a_source_is_answered_by_the_right_one(mix: Path, source: str, wanted: str) -> None:
    sentence = complaint(mix, MIX.replace("jsonl: web.jsonl", source))
    assert wanted in sentence
    assert sentence.startswith("mix.yaml line 4: ")


# ---- values ----


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("seed: -1", "line 5: `seed` should be greater than or equal to 0 (it is -1)."),
        ("seed: true", "line 5: `seed` should be a number (it is true)."),
        ("seed: many", '`seed` should be a whole number (it is "many").'),
        ("seed: 1.5", "`seed` should be a whole number (it is 1.5)."),
        ("bos: 7", "`bos` should be true or false (it is 7)."),
        ("sequence_length: 1", "`sequence_length` should be greater than or equal to 8 (it is 1)."),
        ("sequence_length: 1e400", "`sequence_length` should be a whole number"),
        ("validation: .nan", "`validation` should be a finite number (it is nan)."),
        ("validation: 200%", '`validation` should be less than 1 (it is "200%").'),
        ("budget: .inf", "`budget`: should be a whole amount like 3.9B, not inf."),
        ("budget: 3.9X", "should be an amount like 3.9B, not '3.9X'."),
        ("budget: 99999999999999999999T", "`budget` should be less than or equal to 1000000000000000000"),
        ("shards: 0", "`shards` should be greater than or equal to 1, or 'auto' (it is 0)."),
        ("shards: 999999999", "`shards` should be less than or equal to 65536, or 'auto' (it is 999999999)."),
        ("packing: tight", """`packing` should be 'concat' or 'best_fit' (it is "tight")."""),
        ("executor: local", '`executor` should hold settings, one `key: value` a line (it is "local").'),
        ("executor: {kind: k8s}", """`executor.kind` should be 'local', 'slurm' or 'ray' (it is "k8s")."""),
        ("executor: {workers: 0}", "`executor.workers` should be greater than 0, or 'auto' (it is 0)."),
        ("heldout: books.txt", '`heldout` should be a list, like [one, two] (it is "books.txt").'),
        ("decontaminate: {sets: []}", "line 5: `decontaminate` names no sets"),
        ("decontaminate: {sets: [jglue]}", "`decontaminate.sets.0` should hold settings"),
        ("eos: <|nowhere|>", "has no end-of-text token '<|nowhere|>'; name one of its tokens with `eos:`"),
        ("bos: true", "line 5: bos: true, but the tokenizer"),
        ("language_model: nowhere.ftz", "line 5: there is no file nowhere.ftz; name a fastText model"),
    ],
)
def test_a_wrong_value_is_answered_by_what_it_should_be(mix: Path, line: str, wanted: str) -> None:
    assert wanted.replace("`budget`: should", "`budget` should") in complaint(mix, f"{MIX}{line}\n")


@pytest.mark.parametrize(
    ("settings_", "wanted"),
    [
        (
            "weight: 0",
            "`sources.web.weight` should be greater than 0 (it is 0); leave a source that should give nothing out",
        ),
        ("weight: -2", "`sources.web.weight` should be greater than 0 (it is -2)"),
        ("weight: true", "`sources.web.weight` should be a number (it is true)."),
        ("epochs: 1000000", "`sources.web.epochs` should be less than or equal to 65535"),
        ("fraction: 0", "`sources.web.fraction` should be greater than 0"),
        ("max_bytes: lots", "should be an amount like 2GB, not 'lots'"),
        ("priority: 9999999999999999999999", "`sources.web.priority` should be less than"),
        ("language: jp", "`sources.web.language` is 'jp', and the language model writes 'ja'; write ja."),
        ("language: Japanese!", "should be a code like ja or en"),
        ("where: 'score >'", "`sources.web.where`: where 'score >' cannot be read"),
        ("where: 'score'", "is a column and no condition"),
        ("where: \"__import__('os')\"", "write a condition over the record's columns, as in score >= 2.5."),
        ("filters: [corpus_jp]", "there is no rule set `corpus_jp` and no file corpus_jp; did you mean `corpus_ja`?"),
        ("filters: {a: 1}", "`sources.web.filters` should be a list"),
        ("columns: {file: x}", "columns cannot use the name 'file'"),
        ("columns: [text]", "`sources.web.columns` should hold settings"),
        ("revision: main", "revision belongs to hub"),
    ],
)
def test_a_wrong_value_of_a_source_is_answered_by_what_it_should_be(mix: Path, settings_: str, wanted: str) -> None:
    sentence = complaint(mix, MIX.replace("web.jsonl}", f"web.jsonl, {settings_}}}"))
    assert wanted in sentence
    assert sentence.startswith("mix.yaml line 4: ")


@pytest.mark.parametrize(
    ("sources", "wanted"),
    [
        ("", "mix.yaml: `sources` is missing."),
        ("sources:", "line 3: `sources` should hold settings, one `key: value` a line (it is empty)."),
        ("sources: []", "(it is a list)."),
        ("sources: {}", "`sources` is empty; it needs at least one entry."),
        ("sources: {web: }", "`sources.web` should hold settings, one `key: value` a line (it is empty)."),
        (
            "sources: {web: web.jsonl}",
            '`sources.web` should hold settings, one `key: value` a line (it is "web.jsonl").',
        ),
        ("sources: {1: {jsonl: a}}", "the key `sources.1` should be text; put it in quotes."),
        ("sources: {[a]: {jsonl: a}}", "line 3 is not YAML: found unhashable key."),
        ("sources: {a/b: {jsonl: a}}", "the source name 'a/b' may hold letters, digits, '_', '-' and '.' only"),
        ("sources: {..: {jsonl: a}}", "the source name '..' may hold"),
        (f"sources: {{{'x' * 101}: {{jsonl: a}}}}", "at most 100 of them"),
        ("sources: {heldout_1: {jsonl: a}}", "is one that the files of `heldout:` get"),
    ],
)
def test_sources_that_are_none_are_a_sentence(mix: Path, sources: str, wanted: str) -> None:
    assert wanted in complaint(mix, "".join(MIX.splitlines(keepends=True)[:2]) + sources + "\n")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("../../x", "line 1: `name` may hold letters, digits, '.', '_' and '-' only"),
        ("", "`name` should be text (it is empty)."),
        ("2024", "`name` should be text (it is 2024)."),
        ("2001-01-01", "`name` should be text (it is a date; put it in quotes)."),
        ('"a\\nb"', "`name` may hold letters"),
        ("[a]", "`name` should be text (it is a list)."),
    ],
)
def test_a_name_that_is_no_folder_name_is_a_sentence(mix: Path, name: str, wanted: str) -> None:
    assert wanted in complaint(mix, MIX.replace("name: small", f"name: {name}"))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("nobody/nothing", "nobody/nothing is no folder beside the mix, and the Hub cannot be reached"),
        ("./nowhere", "there is no folder nowhere; name a folder with tokenizer.json"),
        ("mix.yaml", "tokenizer: mix.yaml is a file; name the folder it lies in."),
        ("a--b/c..d", "is no folder beside the mix, and no Hub id either"),
        ("~nobody_at_all/x", "there is no such home folder"),
        ("x" * 5000, "file name too long"),
        ('""', "`tokenizer`"),
        (
            "$NOWHERE_AT_ALL/gpt2",
            "names the environment variable NOWHERE_AT_ALL, which is not set; set it, or write ${NOWHERE_AT_ALL:-PATH}",
        ),
        (".", "holds neither tokenizer.json, nor vocab.json with merges.txt"),
    ],
)
def test_a_tokenizer_that_is_not_there_is_a_sentence(mix: Path, name: str, wanted: str) -> None:
    assert wanted in complaint(mix, MIX.replace(str(QUICKSTART / "tokenizer"), name))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("{", "its files are damaged"),
        ("", "its files are damaged"),
        ('{"version": "1.0"}', "its files are damaged"),
        ((QUICKSTART / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8")[:100_000], "its files are damaged"),
        (
            (QUICKSTART / "tokenizer" / "tokenizer.json")
            .read_text(encoding="utf-8")
            .replace("<|endoftext|>", "<|over|>"),
            "has no end-of-text token",
        ),
    ],
)
def test_a_tokenizer_that_is_damaged_or_never_ends_is_a_sentence(mix: Path, content: str, wanted: str) -> None:
    (mix.parent / "own").mkdir()
    (mix.parent / "own" / "tokenizer.json").write_text(content, encoding="utf-8")
    sentence = complaint(mix, MIX.replace(str(QUICKSTART / "tokenizer"), "own"))
    assert sentence.startswith("mix.yaml line 2: tokenizer: own ")
    assert wanted in sentence


def test_a_tokenizer_config_that_is_no_json_is_a_sentence(mix: Path) -> None:
    (mix.parent / "own").mkdir()
    (mix.parent / "own" / "tokenizer.json").write_bytes((QUICKSTART / "tokenizer" / "tokenizer.json").read_bytes())
    (mix.parent / "own" / "tokenizer_config.json").write_bytes(b"\xff{")
    assert "tokenizer_config.json is not JSON" in complaint(mix, MIX.replace(str(QUICKSTART / "tokenizer"), "own"))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("rules: [", "own.yaml: not YAML"),
        ("- 1", "a rule file is a mapping"),
        ("description: x\nrules: []\n", "own.yaml: `rules` should have at least one entry"),
        (b"\xff\xfe", "own.yaml is not UTF-8 text (byte 0)."),
        (
            "description: x\nrules: [{name: a, why: b, signal: nothing, min: 1, examples: {keep: [a], drop: [b]}}]\n",
            "there is no signal",
        ),
    ],
)
def test_a_rule_file_that_is_wrong_is_a_sentence(mix: Path, content: str | bytes, wanted: str) -> None:
    (mix.parent / "own.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert wanted in complaint(mix, MIX.replace("web.jsonl}", "web.jsonl, filters: [own.yaml]}"))


@pytest.mark.parametrize(
    ("entry", "files", "wanted"),
    [
        ("path: nowhere", {}, "there is no folder nowhere; name the folder that holds JGLUE's files."),
        ("path: set", {"notes.txt": b"x"}, "holds no valid or test file of jcommonsenseqa, jnli or jsquad"),
        ("path: set, form: jsonl, fields: [q]", {}, "no .json or .jsonl file in such a folder"),
        ("path: set, form: jsonl, fields: [q]", {"a.jsonl": b""}, "a.jsonl is empty; it protects nothing."),
        ("path: set, form: jsonl", {"a.jsonl": b'{"q": "x"}\n'}, "needs `fields`"),
        (
            "path: set, form: jsonl, fields: [question]",
            {"a.jsonl": b'{"q": "x"}\n'},
            "line 1: the evaluation item has no field question",
        ),
        (
            "path: set, form: jsonl, fields: [q]",
            {"a.jsonl": b'{"q": "x"}\n{"q": 5}\n'},
            "line 2: the field q of an evaluation item should be a string",
        ),
        ("path: set, form: jsonl, fields: [q]", {"a.jsonl": b'{"q": "x"}\n{"q"\n'}, "a.jsonl line 2 is not JSON"),
        ("path: set, form: jsonl, fields: [q]", {"a.jsonl": b"[" * 100_000}, "a.jsonl line 1 is not JSON"),
        ("path: set, form: jsonl, fields: [q]", {"a.jsonl": b"\xff"}, "a.jsonl is not UTF-8 text (byte 0)."),
        (
            "path: set, form: jsonl, fields: [q]",
            {"a.jsonl.gz": b"\x1f\x8b\x08 no"},
            "a.jsonl.gz cannot be read: its gzip data",
        ),
        (
            "path: set, form: jsonl, fields: [q]",
            {"a.jsonl.zst": b"nothing"},
            "a.jsonl.zst cannot be read: its bytes are not zstd data",
        ),
        (
            "path: set",
            {"jnli/valid.json": b'{"sentence1": "x"}\n'},
            "valid.json, line 1: the evaluation item has no field sentence_pair_id, sentence2",
        ),
        ("path: set", {"jsquad/valid.json": b'{"data": []}\n'}, "set holds no evaluation item; it protects nothing."),
        ("path: set", {"jsquad/valid.json": b""}, "valid.json is not JSON"),
        ("form: jglue", {}, "names either a `path` or a dataset of the `hub`"),
        ("path: set, hub: a/b", {}, "names either a `path` or a dataset of the `hub`"),
        ("hub: a--b..c", {}, "cannot be fetched from the Hub"),
    ],
)
def test_an_evaluation_set_that_protects_nothing_is_a_sentence(
    mix: Path, entry: str, files: dict[str, bytes], wanted: str
) -> None:
    for name, content in files.items():
        (mix.parent / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (mix.parent / "set" / name).write_bytes(content)
    sentence = complaint(mix, f"{MIX}decontaminate: {{sets: [{{{entry}}}]}}\n")
    assert wanted in sentence
    assert sentence.startswith("mix.yaml line 5: ")


def test_lone_surrogates_in_an_evaluation_set_do_no_harm(mix: Path) -> None:
    (mix.parent / "a.jsonl").write_text('{"q": "lone \\ud800 half", "id": "\\udfff"}\n', encoding="utf-8")
    mix.write_text(f"{MIX}decontaminate: {{sets: [{{path: a.jsonl, form: jsonl, fields: [q]}}]}}\n", encoding="utf-8")
    (item,) = load_mix(mix).items
    assert (item.parts, item.id) == (("lone \ufffd half",), "\ufffd")


# ---- the file itself ----


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("", "mix.yaml is not a mix but empty: it should hold `name:`, `tokenizer:` and `sources:`."),
        ("# only a comment\n", "is not a mix but empty"),
        ("- name: small\n", "is not a mix but a list"),
        ("hello", "is not a mix but just a str"),
        (
            "name: small\nsources:\n\tweb: 1\n",
            "line 3 is not YAML: a tab stands where YAML wants spaces; indent with spaces.",
        ),
        (f"{MIX}name: other\n", "line 5: `name` stands twice (first on line 1); keep one of the two."),
        (f"{MIX}  web: {{jsonl: b}}\n", "line 5: `sources.web` stands twice (first on line 4)"),
        ("name: a: b\n", "line 1 is not YAML: a colon stands where none may"),
        ("name: *all\n", "in YAML a * begins an alias, so put a glob that begins with * in quotes"),
        ("sources: {web: {jsonl: *.jsonl}}\n", "put a glob that begins with * in quotes"),
        ("name: 'open\n", "is not YAML"),
        (b"name: small\n# \xe3\x81", "mix.yaml line 2 is not UTF-8 text (byte 14); save the file as UTF-8."),
        (MIX.encode("utf-16"), "is not UTF-8 text (byte 0)"),
        (f"{MIX}\x07: 1\n", "line 5 is not YAML: it holds the control character U+0007."),
        (
            "name: !!python/object/apply:os.system ['touch pwned']\n",
            "means nothing in a mix, which holds plain values only; remove it.",
        ),
        ("name: !!python/name:os.system ''\n", "means nothing in a mix"),
        ("name: !own x\n", "the tag '!own' means nothing in a mix"),
        ("name: 2001-99-99\n", "line 1 is not YAML: month must be in 1..12; put the value in quotes if it is text."),
        (f"seed: {'9' * 6000}\n", "line 1 is not YAML: Exceeds the limit"),
        (f"{MIX}license: 1\n", "no key `license`; `license` stands under a source."),
        (
            MIX.replace("web.jsonl}", 'web.jsonl, license: "\\ud800"}'),
            "line 4: a value holds an escape that is no character",
        ),
        (
            MIX.replace("web.jsonl}", 'web.jsonl, license: "a\\0b"}'),
            "line 4: a value holds an escape that is no character",
        ),
        (f"a: {'[' * 5000}{']' * 5000}\n", "mix.yaml is nested too deeply to be a mix."),
        ("".join(f"{' ' * depth}a:\n" for depth in range(2000)), "mix.yaml is nested too deeply to be a mix."),
        ("a: &a [*a]\n", "line 1: an anchor stands inside itself"),
        ("a: &a {b: *a}\n", "line 1: an anchor stands inside itself"),
        ("a" * 5_000_001, "too large to be a mix"),
    ],
)
def test_a_file_that_is_no_mix_is_a_sentence(mix: Path, content: str | bytes, wanted: str) -> None:
    assert wanted in complaint(mix, content)
    assert not (mix.parent / "pwned").exists()


@pytest.mark.parametrize("link", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_that_expand_without_end_are_refused_at_once(mix: Path, link: str) -> None:
    lines = ["a: &a {x: 1}\n"]
    for before, after in zip("abcdefghijk", "bcdefghijkl", strict=True):
        lines.append(f"{after}: &{after} {link.format(', '.join([f'*{before}'] * 9))}\n")
    began = time.monotonic()
    assert "too many for a mix" in complaint(mix, "".join(lines))
    assert time.monotonic() - began < 5


def test_a_mix_that_is_a_folder_or_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder; name the mix file in it"):
        load_mix(tmp_path)
    with pytest.raises(ConfigError, match="There is no mix file"):
        load_mix(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="too large to be a mix"):
        load_mix(Path("/dev/zero"))


def test_escapes_in_keys_and_values_stay_out_of_the_terminal(
    mix: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from corpus_ja.cli import main

    for content in (
        f'"\\e[31mred\\nline\\u202e": 1\n{MIX}',
        MIX.replace("small", '"\\e[2J\\u202e"'),
        f"{MIX}\u2028: 1\n",
    ):
        mix.write_text(content, encoding="utf-8")
        monkeypatch.setattr("sys.argv", ["corpus-ja", "build", "--mix", str(mix)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capfd.readouterr().err
        assert end.value.code == 1
        assert said.endswith("\n")
        assert said[:-1].isprintable(), said


def test_a_byte_order_mark_anchors_and_merge_keys_are_welcome(mix: Path) -> None:
    mix.write_text(
        f"\ufeffname: small\ntokenizer: {QUICKSTART / 'tokenizer'}\nsources:\n"
        "  web: &web {jsonl: a.jsonl, clean: {menus: true}}\n"
        "  books: {<<: *web, text: b.txt, jsonl: null}\n  more: *web\n",
        encoding="utf-8",
    )
    loaded = load_mix(mix, ["sources.web.clean.menus=false"])
    assert loaded.mix.sources["books"].text == "b.txt"
    assert not loaded.mix.sources["web"].clean.menus
    assert loaded.mix.sources["more"].clean.menus, "an override changes the one source that it names"


# ---- --set ----


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("seed", "--set seed: write it as key=value, for example --set budget=1B"),
        ("=1", "--set =1: write it as key=value"),
        ("a.=1", "--set a.=1: write it as key=value"),
        ("name.x=1", "--set name.x=1: `name` holds a value, not settings."),
        ("sources=5", "--set sources=5: `sources` should hold settings"),
        ("sources.web.jsonl.x=5", "`sources.web.jsonl` holds a value, not settings."),
        ("sources.web.weight=0", "--set sources.web.weight=0: `sources.web.weight` should be greater than 0 (it is 0)"),
        ("executor.kind=nonsense", "--set executor.kind=nonsense: `executor.kind` should be 'local', 'slurm' or 'ray'"),
        ("sedd=1", "--set sedd=1: a mix has no key `sedd`; did you mean `seed`?"),
        ("sources.web.lang=ja", "here it is called `language`."),
        ("budget=[", "--set budget=[ line 1 is not YAML"),
        ("budget=&a [*a]", "an anchor stands inside itself"),
        ("name=2001-99-99", "is not YAML: month must be in 1..12"),
        ("seed=true", "--set seed=true: `seed` should be a number (it is true)."),
        ("heldout.0=a", "`heldout`"),
    ],
)
def test_an_override_that_says_nothing_is_a_sentence_naming_it(mix: Path, override: str, wanted: str) -> None:
    assert wanted in complaint(mix, MIX, override)


def test_overrides_reach_into_sources_and_lists_and_make_what_is_not_there(mix: Path) -> None:
    mix.write_text(f"{MIX}heldout: [a.txt, b.txt]\nduplicates:\n", encoding="utf-8")
    loaded = load_mix(
        mix, ["heldout.1=c.txt", "sources.books.text=books/*.txt", "duplicates.threshold=0.9", "budget=1.5k"]
    )
    assert loaded.mix.heldout == ("a.txt", "c.txt")
    assert loaded.mix.sources["books"].text == "books/*.txt"
    assert loaded.mix.duplicates is not None
    assert loaded.mix.duplicates.threshold == 0.9
    assert loaded.mix.budget == 1500


# ---- environment variables ----


def test_environment_variables_stand_in_paths_with_what_stands_in_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUS_TEST_PLACE", "/data")
    monkeypatch.delenv("CORPUS_TEST_NOWHERE", raising=False)
    assert (
        expand("$CORPUS_TEST_PLACE/a ${CORPUS_TEST_PLACE}/b ${CORPUS_TEST_NOWHERE:-../c}/d") == "/data/a /data/b ../c/d"
    )
    with pytest.raises(
        ConfigError, match=r"CORPUS_TEST_NOWHERE, which is not set; set it, or write \$\{CORPUS_TEST_NOWHERE:-PATH\}"
    ):
        expand("${CORPUS_TEST_NOWHERE}/x")


@pytest.mark.parametrize(
    "line",
    [
        "heldout: [$CORPUS_TEST_NOWHERE/x]",
        "language_model: $CORPUS_TEST_NOWHERE/x",
        "decontaminate: {sets: [{path: $CORPUS_TEST_NOWHERE}]}",
    ],
)
def test_an_environment_variable_that_is_not_set_is_named_with_its_line(mix: Path, line: str) -> None:
    sentence = complaint(mix, f"{MIX}{line}\n")
    assert sentence.startswith("mix.yaml line 5: ")
    assert "CORPUS_TEST_NOWHERE, which is not set" in sentence


# ---- anything at all ----


def paths(values: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in nested mappings and lists."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in items:
        yield (*at, key)
        yield from paths(value, (*at, key))


VALUES = yaml.safe_load((QUICKSTART / "mix.yaml").read_text(encoding="utf-8"))
PLACES = list(paths(VALUES))
WORDS = sorted(
    {str(part) for place in PLACES for part in place}
    | {"path", "weight", "budget", "where", "sidecar", "hub", "columns", "fraction", "read"}
)
MARKS = [
    mark.encode()
    for mark in (
        "\n",
        "\t",
        ": ",
        "- ",
        "&a ",
        "*a",
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        "!!",
        "#",
        "<<: ",
        "|\n",
        "? ",
        "%",
        "---\n",
    )
]
ODD = [
    "", "..", "/", "~", "~x", "$X", "${", "${A:-", "*", "**", "[", "none", "auto", "1e9", "100%", "-1", "nan", "3.9B",
    "a\x1b[0m",
    "s3://x", "hf://", "x" * 300,
]  # fmt: skip
JUNK: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(),
    st.text(max_size=40),
    st.sampled_from(ODD),
    st.dates(),
    st.binary(max_size=8),
    st.lists(st.none() | st.integers() | st.text(max_size=5), max_size=3),
    st.dictionaries(
        st.sampled_from(WORDS) | st.text(max_size=5) | st.integers(),
        st.none() | st.integers() | st.text(max_size=5),
        max_size=3,
    ),
)


KEYS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(".".join)


def loads_or_complains(mix: Path, overrides: Sequence[str] = ()) -> None:
    """Only the errors of corpus_ja.errors may come out, and they say something."""
    sentence = "the mix is loaded, and all is well"
    try:
        load_mix(mix, overrides)
    except CorpusError as error:
        sentence = str(error)
    assert len(sentence) > 20


@pytest.mark.usefixtures("_remembered")
@settings(
    max_examples=700, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_a_mix_with_any_values_changed_is_a_mix_or_a_sentence(mix: Path, data: st.DataObject) -> None:
    values = yaml.safe_load((QUICKSTART / "mix.yaml").read_text(encoding="utf-8"))
    values["tokenizer"] = str(QUICKSTART / "tokenizer")
    values["decontaminate"]["sets"][0]["path"] = str(QUICKSTART / "evaluation")
    for place in data.draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        parent: Any = values
        for key in place[:-1]:
            parent = parent[key] if key in [where[0] for where in paths(parent)] else None
        if place[-1] not in [where[0] for where in paths(parent)]:
            continue  # an earlier change took it away
        match data.draw(st.sampled_from(["replace", "drop", "rename", "copy"])):
            case "drop":
                del parent[place[-1]]
            case "rename" if isinstance(parent, dict):
                parent[data.draw(st.sampled_from(WORDS) | st.text(max_size=10))] = parent.pop(place[-1])
            case "copy" if isinstance(parent, dict):
                parent[data.draw(st.sampled_from(WORDS))] = parent[place[-1]]
            case _:
                parent[place[-1]] = data.draw(JUNK)
    mix.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    loads_or_complains(mix)


@pytest.mark.usefixtures("_remembered")
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mix_with_any_bytes_changed_is_a_mix_or_a_sentence(mix: Path, data: st.DataObject) -> None:
    content = bytearray((QUICKSTART / "mix.yaml").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 30))
        content[place : place + length] = data.draw(st.binary(max_size=10) | st.sampled_from(MARKS))
    mix.write_bytes(bytes(content))
    loads_or_complains(mix)


@pytest.mark.usefixtures("_remembered")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    overrides=st.lists(
        st.text(max_size=20) | st.builds("{}={}".format, KEYS, st.text(max_size=10) | JUNK.map(str)), max_size=3
    )
)
def test_any_overrides_give_a_mix_or_a_sentence(mix: Path, overrides: list[str]) -> None:
    mix.write_text(MIX, encoding="utf-8")
    loads_or_complains(mix, overrides)
