"""The evaluation command: lm-eval's loop against plain loops, the known constants, tables, completions, bad input."""

# ruff: noqa: ANN401 - models and tokenizers of transformers are untyped here

import json
import math
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.small_jglue import write_jglue
from tests.tiny_models import CONTEXT, FORMS, greedy, save, tiny, tokenizer
from tests.world import Built, World
from train import checkpoints, comparison, completions, evaluate, harness, jglue
from train.completions import Completion
from train.errors import TrainError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jglue(tmp_path_factory.mktemp("data") / "jglue")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {form: save(tiny(form), folder / form) for form in FORMS}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return World.make(tmp_path_factory.mktemp("world")).build("held", {"validation": "30%"})


def prepared(data: Path, task: str, shots: int = 1, form: str | None = None, limit: int = 0) -> harness.Prepared:
    loaded = jglue.load_task(data, task)
    return harness.prepare(loaded, jglue.FORMS[task][form or jglue.DEFAULT_PROMPTS[task]], shots, limit, 8)


def by_hand(model: Any, context: list[int], answer: list[int]) -> float:
    """The log-likelihood of an answer after a context, from one pass over both, cut from the left as told."""
    import torch

    ids = [*context, *answer]
    with torch.no_grad():
        chances = torch.log_softmax(model(input_ids=torch.tensor([ids[:-1]]), use_cache=False).logits[0].double(), -1)
    return sum(float(chances[at - 1, ids[at]]) for at in range(len(context), len(ids)))


@pytest.mark.parametrize("form", FORMS)
def test_choices_are_scored_as_one_pass_over_prompt_and_answer_scores_them(form: str) -> None:
    import torch

    model = tiny(form, context=24)
    generator = torch.Generator().manual_seed(3)

    def ids(count: int) -> list[int]:
        drawn: list[int] = torch.randint(4096, (count,), generator=generator).tolist()
        return drawn

    contexts = [ids(9), ids(9), ids(9), ids(5), ids(30)]
    pairs = [(context, ids(length)) for context in contexts for length in (1, 4, 2)] + [(ids(3), ids(1))]
    for rows in (1, 3, 8):
        found = harness.continuation_likelihoods(model, pairs, 24, rows)
        for (context, answer), (likelihood, _) in zip(pairs, found, strict=True):
            longest = 1 if len(context) == 3 else 4  # an item's choices see the same of a prompt that is too long
            assert likelihood == pytest.approx(by_hand(model, context[-(25 - longest) :], answer), abs=2e-4)
    context = ids(6)
    said = greedy(model, context, 3)
    wrong = [*said[:2], (said[2] + 1) % 4096]
    assert [one for _, one in harness.continuation_likelihoods(model, [(context, said), (context, wrong)], 24)] == [
        True,
        False,
    ]


def test_the_loop_of_lm_eval_gives_what_the_prompts_and_the_model_give(data: Path) -> None:
    model, tokens = tiny("llama"), tokenizer()
    lm = harness.language_model(model, tokens, 4)
    asked = [prepared(data, "jsquad"), prepared(data, "jcommonsenseqa"), prepared(data, "jnli", form="0.3")]
    found = harness.run(lm, asked)
    for one in asked[1:]:
        assert [record["id"] for record in found[one.task]] == [item.id for item in one.items]
        for item, prompt, record in list(zip(one.items, one.prompts, found[one.task], strict=True))[:4]:
            space = len(prompt) - len(prompt.rstrip())
            context = tokens(prompt.rstrip())["input_ids"]
            each = [
                by_hand(model, context, tokens(prompt + choice)["input_ids"][len(context) :]) for choice in item.choices
            ]
            assert record["loglikelihoods"] == pytest.approx(each, abs=1e-3)
            assert record["answer"] == each.index(max(each))
            assert record["scores"]["acc"] == float(record["answer"] == item.gold)
            per = [value / len(choice.encode()) for value, choice in zip(each, item.choices, strict=True)]
            assert record["scores"]["acc_bytes"] == float(per.index(max(per)) == item.gold)
            assert space == (1 if one.task == "jnli" else 0)
    one = asked[0]
    for item, prompt, record in list(zip(one.items, one.prompts, found["jsquad"], strict=True))[:6]:
        text = tokens.decode(greedy(model, tokens(prompt)["input_ids"], 8, tokens.eos_token_id))
        expected = text.split("\n")[0].split("<|endoftext|>")[0]
        assert record["answer"] == expected.strip()
        assert record["scores"]["exact_match"] == jglue.exact_match(expected, item.answers)


def test_an_answer_may_be_as_long_as_the_longest_right_one(data: Path) -> None:
    model, tokens = tiny("llama"), tokenizer()
    loaded = jglue.load_task(data, "jsquad")
    one = harness.prepare(loaded, jglue.FORMS["jsquad"]["0.2"], 0, 4, "gold")
    records = harness.run(harness.language_model(model, tokens, 4), [one])["jsquad"]
    for item, prompt, record in zip(one.items, one.prompts, records, strict=True):
        longest = max(len(tokens(answer)["input_ids"]) for answer in item.answers)
        text = tokens.decode(greedy(model, tokens(prompt)["input_ids"], longest, tokens.eos_token_id))
        assert record["answer"] == text.split("\n")[0].strip()


def test_a_model_without_a_cache_of_keys_and_values_reads_the_prompt_again() -> None:
    model = tiny("llama")
    plain = model.forward

    def forward(input_ids: Any, use_cache: bool = False, **_: Any) -> Any:
        out = plain(input_ids=input_ids, use_cache=use_cache)
        out.past_key_values = None
        return out

    pairs = [([5, 6, 7], [8, 9]), ([5, 6, 7], [10, 11, 12]), ([1, 2], [3])]
    expected = harness.continuation_likelihoods(model, pairs, 64)
    model.forward = forward
    found = harness.continuation_likelihoods(model, pairs, 64)
    assert [one for one, _ in found] == pytest.approx([one for one, _ in expected], abs=1e-4)


class Constant:
    """Makes an lm-eval model to which the choice with one number is always the likeliest."""

    def __new__(cls, number: int) -> Any:
        from lm_eval.api.model import LM

        class Answers(LM):
            def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
                return [(0.0 if request.idx == number else -50.0, request.idx == number) for request in requests]

            def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
                raise NotImplementedError

            def generate_until(self, requests: Sequence[Any]) -> list[str]:
                return ["雨" for _ in requests]

        return Answers()


@pytest.mark.shared_data
def test_a_model_that_always_answers_the_same_scores_the_known_constants(shared_data: Path) -> None:
    loaded = {task: jglue.load_task(shared_data / "jglue", task) for task in ("jcommonsenseqa", "jnli")}
    asked = [harness.prepare(one, jglue.FORMS[task][jglue.DEFAULT_PROMPTS[task]], 0) for task, one in loaded.items()]
    figures = {(metric.task, metric.name): metric for metric in comparison.METRICS}
    found: dict[str, list[float]] = {"jcommonsenseqa": [], "jnli": []}
    for number in range(5):
        for task, records in harness.run(Constant(number), asked[: 2 if number < 3 else 1]).items():
            found[task].append(comparison.score(figures[task, "acc"], records).value)
            assert comparison.score(figures[task, "acc_norm"], records).value == found[task][-1]
            name = ("entailment", "contradiction", "neutral")[number] if task == "jnli" else f"choice {number}"
            floor = comparison.baselines(task, records)[f"always {name}"]
            assert floor["acc"] == found[task][-1]
            [said] = comparison.warnings("constant", task, records)
            assert f"always {name}" in said or number != 2
            if task == "jnli":
                assert comparison.score(figures[task, "balanced_acc"], records, 2).value == pytest.approx(1 / 3)
                assert comparison.score(figures[task, "macro_f1"], records, 2).value == floor["macro_f1"]
    assert [round(value, 4) for value in found["jnli"]] == [
        0.1434,
        0.3020,
        0.5546,
    ]  # entailment, contradiction, neutral
    assert round(max(found["jcommonsenseqa"]), 4) == 0.2145


def test_prompts_that_lose_their_beginning_are_counted_with_the_models_own_tokenizer(data: Path) -> None:
    tokens = tokenizer()
    one = prepared(data, "jsquad", shots=2)
    lengths = sorted(len(tokens(prompt)["input_ids"]) for prompt in one.prompts)
    room = lengths[len(lengths) // 2] + 8  # the middle one just fits beside its 8 tokens of answer
    found = harness.measure(harness.language_model(tiny("llama", context=room), tokens, 1), one)
    assert found.longest == lengths[-1]
    assert found.cut == tuple(len(tokens(prompt)["input_ids"]) + 8 > room for prompt in one.prompts)
    assert found.share == sum(length + 8 > room for length in lengths) / len(lengths)
    assert 0 < found.share < 1
    pairs = prepared(data, "jnli")
    whole = [
        max(len(tokens(prompt + choice)["input_ids"]) for choice in item.choices)
        for item, prompt in zip(pairs.items, pairs.prompts, strict=True)
    ]
    room = max(whole) - 1  # the last token is predicted, never read
    assert harness.measure(harness.language_model(tiny("llama", context=room), tokens, 1), pairs).share == 0
    assert harness.measure(harness.language_model(tiny("llama", context=room - 1), tokens, 1), pairs).share > 0
    with pytest.raises(TrainError, match="context is 8 tokens, and JSQuAD needs 8 for an answer alone"):
        harness.measure(harness.language_model(tiny("llama", context=8), tokens, 1), one)


def test_likelihoods_that_are_no_numbers_are_no_answer(data: Path) -> None:
    item = jglue.load_task(data, "jnli").items[0]
    record = harness.choice_record(item, jglue.FORMS["jnli"]["0.2"], [math.nan, -1.0, -2.0])
    assert (record["answer"], record["scores"]["acc"]) == (-1, 0.0)
    assert record["loglikelihoods"] == [None, -1.0, -2.0]


@pytest.mark.parametrize("form", FORMS)
def test_completions_are_what_the_model_writes_and_disturb_nothing(form: str) -> None:
    import torch

    model, tokens = tiny(form), tokenizer()
    model.generation_config.eos_token_id = 2  # as LiteLlama's configuration: not this tokenizer's end of text
    model.generation_config.repetition_penalty = 3.0
    model.train()
    prompts = ["昨日の夜、家に帰ると、", "The"]
    state = torch.get_rng_state()
    found = completions.complete(model, tokens, prompts, tokens=12)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert model.generation_config.eos_token_id == 2
    model.eval()
    for prompt, one in zip(prompts, found[:2], strict=True):
        said = greedy(model, tokens(prompt)["input_ids"], 12, tokens.eos_token_id)
        assert (one.kind, one.prompt, one.text) == ("greedy", prompt, tokens.decode(said, skip_special_tokens=True))
        assert one.tokens == len(said)
    assert found == completions.complete(model, tokens, prompts, tokens=12)
    assert found[2:] != completions.complete(model, tokens, prompts, tokens=12, seed=7)[2:]
    long = completions.complete(model, tokens, ["霧の朝の岬" * 300], tokens=12)
    assert all(one.tokens <= 12 for one in long)


def test_a_completion_ends_at_the_tokenizers_end_of_text() -> None:
    import torch

    model, tokens = tiny("llama"), tokenizer()
    model.generation_config.eos_token_id = 2
    with torch.no_grad():  # every token is followed by end of text
        model.lm_head.weight.zero_()
        model.lm_head.weight[0] = 1.0
        model.model.norm.weight.fill_(1.0)
        model.lm_head.bias = torch.nn.Parameter(torch.zeros(4096))
        model.lm_head.bias[0] = 100.0
    [one, _] = completions.complete(model, tokens, ["山"], tokens=5)
    assert (one.text, one.tokens, one.ended) == ("", 0, True)


def test_nothing_a_model_writes_means_anything_on_the_page() -> None:
    bad = "<script>x</script> | a `b` **c** [d](e) www.f.g http://h\x1b[31m\u202e\n# i &lt; \ud800\u2028"
    page = completions.page({"run|1": [Completion("<b>", "greedy", bad, 9, True)]})
    row = next(line for line in page.split("\n") if line.startswith("| run"))
    assert row.count("|") == 4
    assert "<" not in row.replace("<br>", "")
    for sign in ("`", "**", "](", "www.", "://", "\x1b", "\u202e", "&lt;", "\ud800", "\u2028"):
        assert sign not in row
    assert "⟨U+001B⟩" in row
    assert "## 1. &#60;b&#62;" in page
    page.encode()


def run(*arguments: object, code: int = 0, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says; nothing it prints obeys a terminal."""
    assert evaluate.main([str(one) for one in arguments]) == code
    said = capsys.readouterr()
    return said.err if code else said.out


def test_checkpoints_stand_side_by_side_without_a_connection(
    data: Path, models: dict[str, Path], build: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("COLUMNS", "100")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("霧の朝、\n\nThe keeper\n", encoding="utf-8")
    output = tmp_path / "found"
    said = run(
        "--model", f"base={models['llama']}", models["gpt_neox"], "--model", models["gpt2"], "--jglue", data, "--corpus", build.folder,
        "--corpus-bytes", 600, "--limit", 4, "--shots", "jsquad=0,jnli=1", "--prompts", prompts, "--output", output, "--answer-tokens", 6,
        capsys=capsys,
    )  # fmt: skip
    assert [name for name in ("base", "gpt_neox", "gpt2") if f"\n{name} " in said] == ["base", "gpt_neox", "gpt2"]
    assert "JSQuAD            0.2         none 4 of 24 of valid             6" in said
    assert "JNLI              0.2  1 from test 4 of 12 of valid" in said
    assert "gpt_neox against base" in said
    assert all(source in said for source in ("harbour", "hill", "river", "Bits per byte"))
    found = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert [model["label"] for model in found["models"]] == ["base", "gpt_neox", "gpt2"]
    assert {(score["task"], score["metric"]) for score in found["scores"]} == {
        (metric.task, metric.name) for metric in comparison.METRICS
    }
    assert found["models"][0]["context"] == CONTEXT
    assert found["tasks"]["jnli"]["shots"] == 1
    assert found["tasks"]["jsquad"]["example"].endswith("回答:")
    lines = [json.loads(line) for line in (output / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len([line for line in lines if line["task"] in jglue.TASKS]) == 3 * 3 * 4
    made = (output / "completions.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(made) == 3 * 2 * 2
    assert not (output / evaluate.UNFINISHED).exists()
    table = (output / "table.md").read_text(encoding="utf-8")
    assert "| model | JSQuAD EM | JSQuAD F1 | JCQA acc |" in table

    again = run("--from", output, "--output", tmp_path / "again", capsys=capsys)
    assert (tmp_path / "again" / "table.md").read_text(encoding="utf-8") == table
    assert again.split("How the tasks")[1].split("Written")[0] == said.split("How the tasks")[1].split("Written")[0]
    for name in ("items.jsonl", "completions.jsonl", "completions.md"):
        assert (tmp_path / "again" / name).read_bytes() == (output / name).read_bytes()
    grouped = run(
        "--from", output, "--group", "plain=base", "--group", "better=gpt2,gpt_neox", "--output", tmp_path / "grouped", capsys=capsys
    )  # fmt: skip
    assert "better against plain" in grouped
    differences = json.loads((tmp_path / "grouped" / "results.json").read_text(encoding="utf-8"))["differences"]
    both = {(one["model"], one["task"], one["metric"]): one["value"] for one in found["scores"]}
    for one in differences:
        if one["task"] in jglue.TASKS:
            pooled = (both["gpt2", one["task"], one["metric"]] + both["gpt_neox", one["task"], one["metric"]]) / 2
            assert one["value"] == pytest.approx(pooled)
            assert one["difference"] == pytest.approx(pooled - both["base", one["task"], one["metric"]])
            assert one["interval_95"][0] <= one["difference"] + 1e-9
            assert one["difference"] <= one["interval_95"][1] + 1e-9
    assert {one["source"] for one in differences if one["task"] == "bits_per_byte"} == {
        "harbour",
        "hill",
        "river",
        None,
    }
    said = run("--from", output, "--output", output, code=1, capsys=capsys)
    assert "holds results already" in said
    said = run("--from", output, "--baseline", "gpt-2", "--output", tmp_path / "x", code=1, capsys=capsys)
    assert "did you mean gpt2?" in said
    said = run(
        "--from",
        output,
        "--group",
        "a=base",
        "--group",
        "b=nobody/here",
        "--output",
        tmp_path / "x",
        code=1,
        capsys=capsys,
    )
    assert said


def test_a_checkpoint_that_computes_no_numbers_is_said_to_be_broken(
    data: Path, build: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny("llama")
    model.model.layers[0].mlp.up_proj.weight.data[0, 0] = math.nan
    broken = save(model, tmp_path / "broken")
    whole = save(tiny("llama"), tmp_path / "whole")
    said = run(
        "--model", whole, broken, "--tasks", "jnli", "--jglue", data, "--corpus", build.folder, "--corpus-bytes", 1, "--prompts", "none",
        "--output", tmp_path / "found", "--shots", 0, capsys=capsys,
    )  # fmt: skip
    assert "broken: 12 of 12 answers to JNLI have no likelihood (NaN)" in " ".join(said.split())
    assert "broken: 3 held-out documents have no likelihood (NaN)" in " ".join(said.split())

    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    for name in ("results.json", "items.jsonl"):
        for line in (tmp_path / "found" / name).read_text(encoding="utf-8").split("\n" if name[0] == "i" else "\0"):
            if line:
                json.loads(line, parse_constant=refuse)
    run("--from", tmp_path / "found", "--output", tmp_path / "again", capsys=capsys)


def test_results_that_asked_differently_do_not_stand_in_one_table(
    data: Path, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ("--tasks", "jnli", "--jglue", data, "--prompts", "none", "--model", models["llama"], "--limit", 3)
    for name, shots in (("one", 0), ("two", 1), ("three", 0)):
        run(*ask, "--shots", shots, "--output", tmp_path / name, capsys=capsys)
    said = run("--from", tmp_path / "one", tmp_path / "two", "--output", tmp_path / "x", code=1, capsys=capsys)
    assert "one and two were measured on different JNLI (shots 0 and 1" in said
    said = run("--from", tmp_path / "one", tmp_path / "three", "--output", tmp_path / "x", capsys=capsys)
    assert "three/llama against one/llama" in said
    groups = ("--group", f"plain={tmp_path / 'one'}", "--group", f"better={tmp_path / 'three'}")
    said = run(*groups, "--output", tmp_path / "y", capsys=capsys)
    assert "better against plain" in said
    (tmp_path / "one" / "items.jsonl").write_text("{", encoding="utf-8")
    said = run("--from", tmp_path / "one", "--output", tmp_path / "z", code=1, capsys=capsys)
    assert "are damaged" in said


def test_a_run_folder_stands_for_its_checkpoints_in_the_order_of_their_steps(
    models: dict[str, Path], tmp_path: Path
) -> None:
    for step in (10000, 2000, 300):
        (tmp_path / "run" / f"checkpoint-{step}").mkdir(parents=True)
        shutil.copy(models["llama"] / "config.json", tmp_path / "run" / f"checkpoint-{step}")
    parse = evaluate._parser().parse_args
    plan = evaluate._planned(parse(["--model", f"base={models['llama']}", str(tmp_path / "run")]))
    assert [model.label for model in plan.models] == ["base", "run/300", "run/2000", "run/10000"]
    shell = sorted(map(str, (tmp_path / "run").glob("checkpoint-*")))
    plan = evaluate._planned(parse(["--model", str(models["gpt2"]), *shell]))
    assert [model.label for model in plan.models] == ["gpt2", "checkpoint-300", "checkpoint-2000", "checkpoint-10000"]
    other = tmp_path / "other" / "checkpoint-300"
    shutil.copytree(tmp_path / "run" / "checkpoint-300", other)
    plan = evaluate._planned(parse(["--model", str(tmp_path / "run" / "checkpoint-300"), str(other)]))
    assert [model.label for model in plan.models] == ["run/checkpoint-300", "other/checkpoint-300"]
    with pytest.raises(TrainError, match="Two models are called"):
        evaluate._planned(parse(["--model", str(other), str(other)]))


def test_special_ids_are_mended_and_said(models: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(models["llama"], tmp_path / "lite")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(
        json.dumps({**config, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}), encoding="utf-8"
    )
    (folder / "generation_config.json").write_text(
        json.dumps({"eos_token_id": 2, "do_sample": True, "temperature": 0.3}), encoding="utf-8"
    )
    model, tokens, notes = checkpoints.load(str(folder), "cpu")
    assert model.generation_config.eos_token_id == tokens.eos_token_id == 0
    assert model.generation_config.do_sample is not True
    assert any("eos_token_id 2" in note for note in notes)
    assert not model.training


def test_a_checkpoint_without_a_tokenizer_takes_its_runs(models: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(models["gpt2"], tmp_path / "run" / "checkpoint-5")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(TrainError, match="holds no tokenizer"):
        checkpoints.load(str(folder), "cpu")
    for path in models["gpt2"].glob("tokenizer*"):
        shutil.copy(path, folder.parent)
    _, tokens, _ = checkpoints.load(str(folder), "cpu")
    assert tokens.eos_token_id == 0


def spoiled(models: dict[str, Path], folder: Path, kind: str) -> Path:
    """A model folder with one thing wrong."""
    shutil.copytree(models["llama"], folder)
    weights = folder / "model.safetensors"
    if kind == "pickle":
        weights.rename(folder / "pytorch_model.bin")
    elif kind == "no weights":
        weights.unlink()
    elif kind == "cut":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif kind == "lacking":
        from safetensors.torch import load_file, save_file

        kept = load_file(weights)
        del kept["model.layers.1.mlp.up_proj.weight"]
        save_file(kept, weights, metadata={"format": "pt"})
    else:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config.update({
            "code": {"model_type": "mine", "auto_map": {"AutoConfig": "x.Mine", "AutoModelForCausalLM": "x.Model"}},
            "config": {"hidden_size": "wide"},
        }[kind])  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("pickle", "holds pytorch_model.bin, a pickle, which can run code when it is read"),
        ("no weights", "holds no weights; a model folder needs *.safetensors"),
        ("cut", "cannot be loaded as a model"),
        ("lacking", "lacks weights the model needs (model.layers.1.mlp.up_proj.weight, 1 in all)"),
        ("code", "cannot be loaded as a model"),
        ("config", "cannot be loaded as a model"),
    ],
)
def test_a_model_that_cannot_be_trusted_is_a_sentence(
    models: dict[str, Path], tmp_path: Path, kind: str, sentence: str
) -> None:
    with pytest.raises(TrainError) as caught:
        checkpoints.load(str(spoiled(models, tmp_path / "spoiled", kind)), "cpu")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_larger_than_the_embeddings_is_a_sentence(tmp_path: Path) -> None:
    folder = save(tiny("llama", entries=4000), tmp_path / "small")
    with pytest.raises(TrainError, match="tokenizer has 4,096 entries, the model 4,000 rows"):
        checkpoints.load(str(folder), "cpu")


BAD = [
    ((), "Which model? python -m train.evaluate --model DIR"),
    (("--model", "nowhere"), "there is no folder nowhere"),
    (("--model", "EMPTY"), "neither config.json nor checkpoint-*"),
    (("--modle", "x"), "did you mean --model?"),
    (("--model", "LLAMA", "--tasks", "jsqad", "--jglue", "DATA"), "did you mean jsquad?"),
    (("--model", "LLAMA", "--jglue", "EMPTY"), "lacks the file jsquad-v1.3/valid-v1.3.json"),
    (("--model", "LLAMA", "--jglue", "./nowhere"), "--jglue: there is no folder ./nowhere"),
    (("--model", "LLAMA", "--jglue", "DATA", "--shots", "jnli=many"), "--shots: many is no whole number"),
    (("--model", "LLAMA", "--jglue", "DATA", "--shots", "jnli=99"), "99 examples are asked for"),
    (("--model", "LLAMA", "--jglue", "DATA", "--shots", "2,jnli=1"), "write one value for all tasks"),
    (("--model", "LLAMA", "--jglue", "DATA", "--prompt", "0.9"), "has no form 0.9; there are 0.2, 0.3"),
    (("--model", "LLAMA", "--limit", "-1"), "--limit is -1"),
    (("--model", "LLAMA", "--batch-size", "0"), "--batch-size is 0"),
    (("--model", "LLAMA", "--tasks", "none", "--corpus", "nowhere"), "There is no folder nowhere"),
    (("--model", "LLAMA", "--tasks", "none", "--corpus", "EMPTY"), "has no manifest.json"),
    (("--model", "LLAMA", "--tasks", "none", "--prompts", "none"), "There is nothing to evaluate"),
    (("--model", "LLAMA", "--tasks", "none", "--prompts", "nowhere.txt"), "nowhere.txt cannot be read"),
    (("--model", "LLAMA", "--tasks", "none", "--device", "cuda:77"), "--device cuda:77"),
    (("--from", "EMPTY"), "holds no results.json"),
    (("--model", "LLAMA", "--output", "FILE"), "is a file; name a folder"),
    (("--model", "LLAMA", "--tasks", "none", "--output", "FILE/x"), "The results cannot be written to"),
    (("--group", "better"), "write NAME=RUN,RUN"),
    (("--model", "SMALL", "--jglue", "DATA", "--prompts", "none"), "context is 16 tokens, and JSQuAD needs 32"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "sentence"), BAD, ids=[" ".join(one) or "nothing" for one, _ in BAD])
def test_bad_input_is_one_sentence(
    data: Path, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], sentence: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    places = {"EMPTY": tmp_path / "empty", "LLAMA": models["llama"], "DATA": data, "FILE": tmp_path / "file"}
    places["FILE/x"] = tmp_path / "file" / "x"
    places["FILE"].write_text("", encoding="utf-8")
    if "SMALL" in arguments:
        places["SMALL"] = save(tiny("llama", context=16), tmp_path / "small")
    said = run(*(places.get(one, one) for one in arguments), code=1, capsys=capsys)
    assert sentence in said
    assert said.count("\n") == 1
    assert not (tmp_path / "evaluation").exists()


def test_memory_that_runs_out_is_a_sentence_and_a_bug_is_not(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(completions, "complete", full)
    message = "CUDA out of memory. Tried to allocate 9 GiB"
    said = run("--model", models["llama"], "--tasks", "none", "--output", tmp_path / "x", code=1, capsys=capsys)
    assert "ran out of memory; ask for less at once with --batch-size" in said
    message = "a mistake of ours"
    with pytest.raises(RuntimeError, match="of ours"):
        evaluate.main(["--model", str(models["llama"]), "--tasks", "none", "--output", str(tmp_path / "x")])


def test_without_lm_eval_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval.evaluator", None)
    with pytest.raises(TrainError, match=r"pip install 'corpus-ja\[eval\]'"):
        harness.require()


def test_as_a_module_it_answers_with_usage_and_the_exit_code() -> None:
    done = subprocess.run([sys.executable, "-m", "train.evaluate"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Which model?")
    assert done.stderr.count("\n") == 1
