"""Whole runs of a tiny model on the test world: exact resuming, clean stops, refusals in sentences."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.world import Built, World
from train import run as program
from train import trainer as trainer_module
from train.config import load_recipe
from train.errors import TrainError
from train.trainer import MARKER, DocumentTrainer, checkpoints

RECIPE = """
corpus: {corpus}
model:
  new: {{model_type: llama, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, attention_dropout: 0.1}}
completions: {{prompts: ["川は"], tokens: 3}}
trainer:
  per_device_train_batch_size: 2
  gradient_accumulation_steps: 2
  max_steps: 9
  learning_rate: 1e-2
  warmup_steps: 2
  logging_steps: 1
  save_steps: 3
  dataloader_drop_last: true
  use_cpu: true
  seed: 7
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    torch.set_num_threads(1)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return World.make(tmp_path_factory.mktemp("run")).build()


@pytest.fixture(scope="module")
def recipe(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "train.yaml"
    path.write_text(RECIPE.format(corpus=built.folder), encoding="utf-8")
    return path


def train(recipe: Path, output: Path, *more: str) -> int:
    return program.main(["--config", str(recipe), f"output={output}", *more])


def losses(output: Path) -> dict[int, dict[str, float]]:
    """Everything that the last checkpoint's log says of each step's loss."""
    log = json.loads((checkpoints(output)[-1] / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return {
        line["step"]: {key: value for key, value in line.items() if key.startswith(("loss", "grad"))}
        for line in log
        if "loss" in line
    }


def weights(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "model" / "model.safetensors")


def same(one: Path, other: Path) -> None:
    assert losses(one) == losses(other)
    for name, tensor in weights(one).items():
        assert torch.equal(tensor, weights(other)[name]), name


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted; nobody changes it."""
    output = tmp_path_factory.mktemp("runs") / "whole"
    assert train(recipe, output) == 0
    return output


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    shutil.copytree(whole, tmp_path / "copied")
    return tmp_path / "copied"


def in_child(work: Callable[[], object]) -> int | None:
    """Run something in a forked child; its exit status, negative for a signal. It must not come as far as the curves: the
    threads that draw them do not survive a fork.
    """

    def child() -> None:
        sys.exit(int(work() or 0))  # type: ignore[call-overload]

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(120)
    return process.exitcode


def killed_at(call: int, place: str) -> Callable[[], None]:
    """Make the n-th call of a place kill the process with -9."""
    owner = trainer_module if place == "_write_durably" else DocumentTrainer
    original, count = getattr(owner, place), 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)

    return lambda: setattr(owner, place, counted)


@pytest.mark.filterwarnings(
    "ignore:This process"
)  # it is multi-threaded, and forks all the same: nothing runs in the other threads
@pytest.mark.parametrize(
    ("place", "call"),
    [("training_step", n) for n in (1, 5, 8, 11, 13, 15, 18)]
    + [("_write_durably", n) for n in (1, 2)]
    + [("_save_rng_state", 2)],
)
def test_killed_anywhere_and_resumed_is_as_never_killed(
    recipe: Path, whole: Path, tmp_path: Path, place: str, call: int
) -> None:
    """Ten kills with -9: in the middle of steps, while a checkpoint is being written, and before it is declared whole."""
    output = tmp_path / "killed"

    def work() -> int:
        killed_at(call, place)()
        return train(recipe, output)

    assert in_child(work) == -signal.SIGKILL
    assert train(recipe, output, "--resume", "auto") == 0
    same(whole, output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_after_the_step_with_a_checkpoint_and_the_rest_is_as_never_stopped(
    recipe: Path,
    whole: Path,
    tmp_path: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, original, count = tmp_path / "stopped", DocumentTrainer.training_step, 0

    def signalled(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == 7:  # the first half of the fourth step
            os.kill(os.getpid(), number)
        return original(*arguments, **named)

    monkeypatch.setattr(DocumentTrainer, "training_step", signalled)
    assert train(recipe, output) == 128 + number
    assert "Stopped after step 4; go on with --resume auto." in capsys.readouterr().out
    assert checkpoints(output)[-1].name == "checkpoint-4"
    assert not (output / "model").exists()
    assert train(recipe, output, "--resume", "auto") == 0
    same(whole, output)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("per_device_train_batch_size=4", "per_device_train_batch_size was 2, is 4"),
        ("gradient_accumulation_steps=1", "gradient_accumulation_steps was 2, is 1"),
        ("seed=8", "seed was 7, is 8"),
        ("documents=joined", "documents was separate, is joined"),
    ],
)
def test_a_resume_under_other_terms_is_refused(
    whole: Path, recipe: Path, capsys: pytest.CaptureFixture[str], change: str, said: str
) -> None:
    assert train(recipe, whole, "--resume", "auto", change) == 1
    assert said in capsys.readouterr().err


def test_a_resume_with_another_corpus_or_number_of_processes_is_refused(whole: Path) -> None:
    last = checkpoints(whole)[-1]
    terms = json.loads((last / MARKER).read_text(encoding="utf-8"))
    trainer_module.check_resume(last, terms)
    with pytest.raises(TrainError, match=r"corpus was [0-9a-f]{16}, is other"):
        trainer_module.check_resume(last, terms | {"corpus": "other"})
    with pytest.raises(TrainError, match="world_size was 1, is 2"):
        trainer_module.check_resume(last, terms | {"world_size": 2})


def test_a_run_never_begins_over_another(whole: Path, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(recipe, whole) == 1
    assert "checkpoint-9 is there already; go on with --resume auto" in capsys.readouterr().err


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(
    recipe: Path, whole: Path, tmp_path: Path
) -> None:
    assert train(recipe, tmp_path / "again") == 0
    same(whole, tmp_path / "again")
    assert train(recipe, tmp_path / "other", "seed=8") == 0
    assert losses(tmp_path / "other") != losses(whole)


def test_a_step_is_the_same_however_its_rows_are_spread_over_micro_batches(recipe: Path, tmp_path: Path) -> None:
    """1 x 64 and 64 x 1: the same rows, the same loss, the same weights after the step, to float32's last digits."""
    settings = ["max_steps=2", "num_train_epochs=9", "model.new.attention_dropout=0.0"]
    for name, batch in (("one", 64), ("many", 1)):
        assert (
            train(
                recipe,
                tmp_path / name,
                *settings,
                f"per_device_train_batch_size={batch}",
                f"gradient_accumulation_steps={64 // batch}",
            )
            == 0
        )
    one, many = losses(tmp_path / "one"), losses(tmp_path / "many")
    for step in (1, 2):
        assert one[step] == pytest.approx(many[step], rel=1e-4)
    for name, tensor in weights(tmp_path / "one").items():
        torch.testing.assert_close(tensor, weights(tmp_path / "many")[name], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("leaks", [True, False])
def test_ligers_kernels_are_in_the_model_before_anything_is_proved_of_it_and_leave_the_loss_alone(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], leaks: bool
) -> None:
    def kernels(model: Any, config: dict[str, bool]) -> None:
        assert config["fused_linear_cross_entropy"] is False
        inside = model.model.forward

        def of_layers(*rest: Any, position_ids: torch.Tensor | None = None, **named: Any) -> Any:
            return inside(*rest, position_ids=None if leaks else position_ids, **named)

        model.model.forward = of_layers

    monkeypatch.setattr("transformers.integrations.liger.apply_liger_kernel", kernels)
    status = train(recipe, tmp_path / "kernels", "use_liger_kernel=true", "max_steps=2", "completions.tokens=0")
    said = capsys.readouterr()
    assert status == (1 if leaks else 0), said.err
    assert ("its neighbours" in said.err) == leaks, said.err


def test_without_liger_the_remedy_is_said(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(*_: object) -> None:
        raise ImportError("no such package")

    monkeypatch.setattr("transformers.integrations.liger.apply_liger_kernel", absent)
    assert train(recipe, tmp_path / "none", "use_liger_kernel=true") == 1
    assert "corpus-ja[liger]" in capsys.readouterr().err


def test_two_passes_are_two_orders_and_both_come_again(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    original = DocumentTrainer.compute_loss

    def watched(self: DocumentTrainer, model: Any, inputs: Any, *arguments: Any, **named: Any) -> Any:
        if model.training:
            seen.extend(tuple(row) for row in inputs["input_ids"].tolist())
        return original(self, model, inputs, *arguments, **named)

    monkeypatch.setattr(DocumentTrainer, "compute_loss", watched)
    orders = []
    for name in ("first", "second"):
        seen.clear()
        assert (
            train(
                recipe,
                tmp_path / name,
                "max_steps=-1",
                "num_train_epochs=2",
                "dataloader_drop_last=false",
                "save_strategy=no",
                "per_device_train_batch_size=8",
            )
            == 0
        )
        half = len(seen) // 2
        orders.append((seen[:half], seen[half:]))
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]
    assert sorted(orders[0][0]) == sorted(orders[0][1])


@pytest.mark.timeout(240)
def test_two_processes_take_the_steps_of_one_at_the_same_global_batch(recipe: Path, tmp_path: Path) -> None:
    settings = ["max_steps=3", "model.new.attention_dropout=0.0", "eval_strategy=steps", "eval_steps=3"]
    assert (
        train(recipe, tmp_path / "one", *settings, "per_device_train_batch_size=4", "gradient_accumulation_steps=2")
        == 0
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCHELASTIC_ERROR_FILE": str(tmp_path / "error.json")}
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "train.run", "--config", str(recipe),
         f"output={tmp_path / 'two'}", *settings, "per_device_train_batch_size=2", "gradient_accumulation_steps=2"],
        env=environment, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    for step in (1, 2, 3):
        assert two[step] == pytest.approx(one[step], rel=1e-4)
    logs = [
        json.loads((checkpoints(tmp_path / name)[-1] / "trainer_state.json").read_text())["log_history"]
        for name in ("one", "two")
    ]
    held = [next(line for line in log if "eval_bits_per_byte" in line) for log in logs]
    assert held[1]["eval_bits_per_byte"] == pytest.approx(held[0]["eval_bits_per_byte"], rel=1e-4)


def test_a_run_leaves_a_model_its_card_its_curves_and_its_recipe(
    recipe: Path, tmp_path: Path, built: Built, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "left"
    assert train(recipe, output, "eval_strategy=steps", "eval_steps=4", "eval_on_start=true") == 0
    out = capsys.readouterr().out
    assert "proved on this model" in out
    assert "special ids mended" in out
    assert "held-out bits per byte" in out
    model = output / "model"
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "curves.svg", "recipe.yaml"} <= {
        path.name for path in model.iterdir()
    }
    assert not list(model.glob("*.bin"))
    card = (model / "README.md").read_text(encoding="utf-8")
    from huggingface_hub import ModelCard

    assert ModelCard(card).data.get("tags") == ["corpus-ja", "pretraining"]
    assert str(tmp_path) not in card
    for name in built.manifest.source_names:
        assert name.replace("_", "\\_") in card
    assert (output / "curves.svg").read_text(encoding="utf-8").startswith("<svg")
    again = load_recipe(model / "recipe.yaml", [f"corpus={built.folder}"])
    assert again.trainer["learning_rate"] == 1e-2
    lines = [json.loads(line) for line in (output / "completions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == [0, 0, 4, 4, 8, 8, 9, 9]  # greedy and drawn
    log = json.loads((checkpoints(output)[-1] / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    steps = [line for line in log if "loss" in line]
    assert [line["tokens_seen"] for line in steps] == [256 * line["step"] for line in steps]
    assert all(line["tokens_per_second"] > 0 for line in steps[1:])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("schedule", [(), ("eval_strategy=epoch",), ("eval_strategy=steps", "eval_steps=2")])
def test_tensorboard_hears_what_the_log_says_as_one_run_with_its_last_evaluation_once(
    recipe: Path, tmp_path: Path, schedule: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["report_to=tensorboard", "max_steps=2", "completions.tokens=0", *schedule]
    assert train(recipe, tmp_path / "board", *settings) == 0
    assert capsys.readouterr().out.count("held out:") == 1
    records = list((tmp_path / "board").rglob("events.out.tfevents.*"))
    assert len(records) == 1
    content = records[0].read_bytes()
    for tag in (b"train/loss_river", b"train/tokens_per_second", b"eval/bits_per_byte_river"):
        assert tag in content


def test_loss_by_source_adds_up_to_the_loss_and_bits_per_byte_to_the_plain_sum(
    recipe: Path, tmp_path: Path, built: Built
) -> None:
    """An obvious reference: every held-out row through the saved model, a piece at a time."""
    import math

    import polars as pl
    from transformers import AutoModelForCausalLM, AutoTokenizer

    output = tmp_path / "held"
    assert train(recipe, output, "eval_strategy=steps", "eval_steps=9") == 0
    log = json.loads((checkpoints(output)[-1] / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    said = next(line for line in log if "eval_bits_per_byte" in line)
    model = AutoModelForCausalLM.from_pretrained(output / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(output / "model")
    names = built.manifest.source_names
    bits: dict[str, float] = dict.fromkeys(names, 0.0)
    size: dict[str, int] = dict.fromkeys(names, 0)
    nats = count = 0.0
    for path in (built.folder / "shards").glob("validation-*.parquet"):
        for row in pl.read_parquet(path).iter_rows(named=True):
            begin = 0
            for length, source in zip(row["seq_lengths"], row["source_ids"], strict=True):
                piece = torch.tensor([row["input_ids"][begin : begin + length]])
                begin += length
                if length < 2:
                    continue
                with torch.no_grad():
                    chances = model(piece).logits[0, :-1].double().log_softmax(-1)
                own = -chances.gather(1, piece[0, 1:, None])[:, 0]
                nats, count = nats + float(own.sum()), count + len(own)
                for token, nat in zip(piece[0, 1:].tolist(), own.tolist(), strict=True):
                    if token != built.manifest.tokenizer.eos_id:
                        bits[names[source]] += nat / math.log(2)
                        size[names[source]] += len(
                            tokenizer.convert_ids_to_tokens(token)
                        )  # byte-level: a character a byte
    assert said["eval_loss"] == pytest.approx(nats / count, rel=1e-5)
    assert said["eval_bits_per_byte"] == pytest.approx(sum(bits.values()) / sum(size.values()), rel=1e-5)
    for name in names:
        if size[name]:
            assert said[f"eval_bits_per_byte_{name}"] == pytest.approx(bits[name] / size[name], rel=1e-5)
    for line in (line for line in log if "loss" in line):
        own_losses = [value for key, value in line.items() if key.startswith("loss_")]
        assert min(own_losses) - 1e-4 <= line["loss"] <= max(own_losses) + 1e-4


def test_a_full_disk_leaves_the_good_checkpoint_and_says_so(recipe: Path, whole: Path, tmp_path: Path) -> None:
    output, said = tmp_path / "full", tmp_path / "said"

    def work() -> int:
        original = DocumentTrainer._save_checkpoint

        def filling(self: DocumentTrainer, *arguments: Any) -> None:
            if self.state.global_step == 6:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
            original(self, *arguments)

        DocumentTrainer._save_checkpoint = filling  # type: ignore[method-assign,assignment]
        with said.open("w") as file:
            sys.stderr = file
            return train(recipe, output)

    assert in_child(work) == 1
    sentence = said.read_text(encoding="utf-8")
    assert "checkpoint-6 could not be written" in sentence
    assert "checkpoint-3 stands: go on with --resume auto." in sentence
    assert [folder.name for folder in checkpoints(output)] == ["checkpoint-3"]
    assert train(recipe, output, "--resume", "auto") == 0
    same(whole, output)


def test_older_checkpoints_go_only_after_the_new_one_is_whole(recipe: Path, tmp_path: Path) -> None:
    output = tmp_path / "few"

    def work() -> int:
        killed_at(2, "_write_durably")()
        return train(recipe, output, "save_total_limit=1")

    assert in_child(work) == -signal.SIGKILL
    assert [folder.name for folder in checkpoints(output)] == ["checkpoint-3"]
    assert train(recipe, output, "save_total_limit=1", "--resume", "auto") == 0
    assert [folder.name for folder in checkpoints(output)] == ["checkpoint-9"]


def test_a_dry_run_says_what_a_run_would_be_and_touches_nothing(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert program.main(["--config", str(recipe), f"output={tmp_path / 'dry'}", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "9 of 256 tokens (4 rows)" in out
    assert "tokens  2,304" in out
    assert "on one RTX 4090" in out
    for word in ("parameters", "GB on each device", "GFLOP a token", "tokens/s at 60%"):
        assert word in out
    assert sorted(tmp_path.rglob("*")) == before == []


def test_joined_documents_are_the_original_experiments_plain_rows(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(recipe, tmp_path / "joined", "documents=joined", "loss=model") == 0
    assert "documents of a row see those before them" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["corpus=nowhere"], "There is no folder nowhere"),
        (["learning_rte=1"], "Did you mean learning_rate?"),
        (["modle.extend=true"], "is a setting neither of a recipe"),
        (["model.extnd=true"], "Did you mean extend?"),
        (["model.from=x"], "say either `from`"),
        (["output_dir=x"], "say `output`"),
        (["remove_unused_columns=true"], "must stay False"),
        (["attention=flash_attention_2"], "needs an NVIDIA GPU"),
        (["attention=flash"], "attention"),
        (["learning_rate"], "write key=value"),
        (["model.new={model_type: llamma}"], "model.new"),
        (["model.new={hidden_size: 3}"], "needs model_type"),
        (["model.new.vocab_size=3"], "Leave it out"),
        (["bf16=true", "use_cpu=false"], "meant for a GPU (bf16: true), and none is visible"),
        (["max_steps=x"], "trainer.max_steps: Input should be a valid integer"),
        (["--resume", "nowhere"], "there is no such folder"),
        (["trainer=3"], "trainer"),
        (["corpus={"], "is not YAML"),
    ],
)
def test_a_mistake_is_one_sentence(
    recipe: Path, tmp_path: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(recipe, tmp_path / "wrong", *more) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("train: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "wrong").exists()


def test_a_recipe_that_is_none_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("", "- a", "a: [", "corpus: x\ncorpus: y", "\x00"):
        path = tmp_path / "train.yaml"
        path.write_text(text, encoding="utf-8")
        assert program.main(["--config", str(path)]) == 1
        assert capsys.readouterr().err.startswith("train: ")
    assert program.main(["--config", str(tmp_path / "none.yaml")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_without_a_recipe_the_recipes_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[1])
    assert program.main([]) == 2
    err = capsys.readouterr().err
    for name in ("quickstart", "yonaguni", "yonaguni-better"):
        assert f"--config recipes/{name}/train.yaml" in err


def test_the_shipped_recipes_are_what_transformers_takes() -> None:
    root = Path(__file__).resolve().parents[1]
    found = {path.parent.name: load_recipe(path) for path in sorted((root / "recipes").glob("*/train.yaml"))}
    assert set(found) == {"quickstart", "yonaguni", "yonaguni-better"}
    original = found["yonaguni"]
    expected = {
        "per_device_train_batch_size": 8, "gradient_accumulation_steps": 64, "learning_rate": 5e-5, "weight_decay": 0.1, "warmup_steps": 0.01,
        "lr_scheduler_type": "cosine", "optim": "adamw_torch",
    }  # fmt: skip
    assert {key: original.trainer[key] for key in expected} == expected
    assert (original.attention, original.documents, original.model.source) == (
        "flash_attention_2",
        "joined",
        "ahxt/LiteLlama-460M-1T",
    )
    assert found["yonaguni-better"].trainer["adam_beta2"] == 0.95


def test_the_recipe_survives_being_written_down(recipe: Path, tmp_path: Path) -> None:
    from train.config import resolved

    one = load_recipe(recipe, ["learning_rate=3e-4", "completions.tokens=5"])
    path = tmp_path / "resolved.yaml"
    path.write_text(resolved(one), encoding="utf-8")
    assert load_recipe(path) == one


def test_nothing_heavy_is_imported_to_say_how_to_use_it() -> None:
    code = "import sys; from train.run import main; main([]); sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_checkpoint_without_its_marker_does_not_count_even_with_all_its_files(
    copied: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkpoints(copied)[-1] / MARKER).unlink()
    assert checkpoints(copied)[-1].name == "checkpoint-6"
    assert train(recipe, copied, "--resume", str(copied / "checkpoint-9")) == 1
    assert "was not finished" in capsys.readouterr().err
    assert train(recipe, copied, "--resume", "auto") == 0


def test_a_recipe_asks_for_the_articles_table_at_the_end(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def noted(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command[2:])
        return subprocess.CompletedProcess(command, len(asked) - 1)

    monkeypatch.setattr("train.run.subprocess.run", noted)
    output = tmp_path / "asked"
    settings = ["max_steps=4", "save_steps=2", "evaluation={jglue: /jglue, limit: 5}"]
    assert train(recipe, output, *settings) == 0
    assert train(recipe, output, *settings, "--resume", "auto") == 1
    rows = [f"2={output / 'checkpoint-2'}", f"4={output / 'checkpoint-4'}"]
    assert asked[0][:4] == ["train.evaluate", "--model", *rows]
    assert asked[0][-6:] == ["--tasks", "jsquad,jcommonsenseqa,jnli", "--jglue", "/jglue", "--limit", "5"]
    assert "The model is saved; its evaluation was not finished." in capsys.readouterr().out
    monkeypatch.setattr(program, "find_spec", lambda _: None)
    assert train(recipe, tmp_path / "without", *settings) == 1
    assert "pip install 'corpus-ja[eval]'" in capsys.readouterr().err


def test_every_key_of_a_recipe_stands_in_its_documentation() -> None:
    from train.config import Completions, Evaluation, ModelChoice, Recipe

    text = (Path(__file__).resolve().parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    keys = [
        *Recipe.model_fields,
        *Completions.model_fields,
        *Evaluation.model_fields,
        *(f"model.{'from' if name == 'source' else name}" for name in ModelChoice.model_fields),
    ]
    assert [key for key in keys if f"`{key}`" not in text and key not in {"model", "trainer"}] == []
