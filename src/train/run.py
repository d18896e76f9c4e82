"""`python -m train.run --config recipes/NAME/train.yaml [key=value ...]`: continue a model's pretraining on a build.

Read from the top of `run`: the recipe, the corpus, the model, the two proofs (documents do not see each other, the sliced
loss is the model's own), the Trainer, training, the last evaluation, the card. A mistake of the person at the keyboard is
one sentence on stderr and exit status 1; a stop by Ctrl-C or SIGTERM leaves a checkpoint and 128 + the signal.
"""

import argparse
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from train.config import DECIDED, Recipe, load_recipe, recipes, resolved
from train.errors import TrainError, first_line


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.run",
        description="Continue a causal language model's pretraining on the shards of a corpus-ja build.",
        epilog="key=value sets any key of the recipe or any argument of transformers' Trainer: model.extend=true learning_rate=1e-4",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the recipe, for example recipes/quickstart/train.yaml"
    )
    parser.add_argument(
        "--resume", metavar="auto|DIR", help="go on from the newest whole checkpoint of the output, or from DIR"
    )
    parser.add_argument("--dry-run", action="store_true", help="say steps, tokens, memory and time; touch nothing")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    asked = parser.parse_intermixed_args(arguments)
    if asked.config is None:
        found = recipes()
        listed = (
            "\n".join(f"  python -m train.run --config {path}" for path in found)
            or "  (none here: recipes/*/train.yaml)"
        )
        print(f"Say which recipe to run. Recipes here:\n{listed}", file=sys.stderr)
        return 2
    try:
        recipe = load_recipe(asked.config, asked.overrides)
        return dry_run(recipe) if asked.dry_run else run(recipe, asked.resume)
    except TrainError as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train: stopped before the first step was done; nothing is lost.", file=sys.stderr)
        return 130


def run(recipe: Recipe, resume: str | None = None) -> int:
    """Train and evaluate; the exit status."""
    import torch
    from transformers import PrinterCallback

    from train import attention, loss
    from train.bits import token_bytes
    from train.callbacks import Complete, EvaluateAtTheEnd, StopCleanly, Tell
    from train.collate import Collator
    from train.data import open_corpus
    from train.model import load
    from train.throughput import flops_per_token, peak_flops
    from train.trainer import DocumentTrainer, check_resume

    args = training_arguments(recipe)
    say = _Teller(args.process_index == 0)
    if args.n_gpu > 1:
        raise TrainError(
            f"{args.n_gpu} GPUs are visible to one process; start one process each (torchrun --nproc-per-node {args.n_gpu} -m train.run …) or choose one with CUDA_VISIBLE_DEVICES=0."
        )
    half = bool(args.bf16 or args.fp16)
    kind, why = attention.choose(recipe.attention, args.device.type, half)
    if recipe.evaluation is not None and find_spec("lm_eval") is None:
        raise TrainError(
            "The recipe asks for an evaluation, which needs lm-eval; pip install 'corpus-ja[eval]', or set evaluation=null."
        )
    checkpoint = _checkpoint(recipe.output, resume)
    corpus = open_corpus(recipe.corpus)
    manifest = corpus.manifest
    say(
        f"corpus {manifest.name}: {corpus.train.tokens:,} tokens in {len(corpus.train):,} rows of {manifest.sequence_length:,}"
    )
    loaded = load(recipe.model, corpus, kind, args.seed)
    for note in loaded.notes:
        say(note)
    model = loaded.model.to(args.device)
    if args.use_liger_kernel:
        _put_liger_in(model, args)
        say("kernels: Liger's, but for the loss")
    collate = Collator(manifest.sequence_length, corpus.train.most_pieces, manifest.tokenizer.eos_id, recipe.documents)
    if corpus.validation is not None and corpus.validation.most_pieces > collate.most_pieces:
        collate = Collator(
            manifest.sequence_length, corpus.validation.most_pieces, manifest.tokenizer.eos_id, recipe.documents
        )
    vocabulary = min(manifest.tokenizer.vocab_size, model.get_input_embeddings().weight.shape[0])
    if recipe.documents == "separate":
        moved = attention.prove_separate(model, collate, vocabulary, manifest.sequence_length, args.device, half)
        say(
            f"attention: {why}; proved on this model: a document's logits move by {moved:.1g} when its neighbours change"
        )
    else:
        say(f"attention: {kind}; documents of a row see those before them, as the recipe asks (documents: joined)")
    first = {
        name: value.to(args.device) if isinstance(value, torch.Tensor) else value
        for name, value in collate(corpus.train[0]).items()
    }
    sliced = recipe.loss == "auto" and loss.agrees(model, first, half)
    say(
        "loss: head and cross-entropy in slices, equal to the model's own"
        if sliced
        else "loss: from the model's own logits"
    )
    loss.use(model, sliced)

    terms = {
        "corpus": manifest.fingerprint, "documents": recipe.documents, "world_size": args.world_size, "seed": args.seed, "data_seed": args.data_seed,
        "per_device_train_batch_size": args.per_device_train_batch_size, "gradient_accumulation_steps": args.gradient_accumulation_steps,
    }  # fmt: skip
    if checkpoint is not None:
        check_resume(checkpoint, terms)
        say(f"going on from {checkpoint}")
    peak = peak_flops(recipe.peak_tflops, half)
    stop = StopCleanly()
    trainer = DocumentTrainer(
        model=model, args=args, train_dataset=corpus.train, eval_dataset=corpus.validation, data_collator=collate, processing_class=loaded.tokenizer,
        callbacks=[*([EvaluateAtTheEnd()] if corpus.validation is not None else []), stop, Tell(manifest.source_names), Complete(recipe.completions.prompts, recipe.completions.tokens, loaded.tokenizer, recipe.output)],
        sources=manifest.source_names, token_bytes=_as_wide(token_bytes(loaded.tokenizer), model), terms=terms,
        flops=flops_per_token(model, manifest.sequence_length), peak=peak, recipe=resolved(recipe),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    if args.process_index == 0:
        recipe.output.mkdir(parents=True, exist_ok=True)
        (recipe.output / "recipe.yaml").write_text(resolved(recipe), encoding="utf-8")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if stop.heard is not None:
        say(f"Stopped after step {trainer.state.global_step:,}; go on with --resume auto.")
        return 128 + stop.heard
    _finish(recipe, trainer, manifest, why if recipe.documents == "separate" else kind, say)
    model.to("cpu")  # the evaluation is another process and wants the device
    return _evaluate(recipe, say) if args.process_index == 0 else 0


def dry_run(recipe: Recipe) -> int:
    """Say what a run would be: steps, tokens, memory and time."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from corpus_ja.storage.manifest import ManifestError, read_manifest
    from train.callbacks import duration
    from train.throughput import PEAK_TFLOPS, estimate_memory, flops_per_token, measured_flops

    args = training_arguments(recipe, planning=True)
    try:
        manifest = read_manifest(recipe.corpus)
    except ManifestError as error:
        raise TrainError(f"corpus: {error}") from error
    length, vocabulary = manifest.sequence_length, manifest.tokenizer.vocab_size
    chosen = recipe.model
    try:
        if chosen.new is not None:
            config = AutoConfig.for_model(
                chosen.new["model_type"],
                **{
                    "vocab_size": vocabulary,
                    "max_position_embeddings": length,
                    **{k: v for k, v in chosen.new.items() if k != "model_type"},
                },
            )
        else:
            config = AutoConfig.from_pretrained(chosen.source, revision=chosen.revision)
            config.vocab_size = max(config.vocab_size, vocabulary) if chosen.extend else config.vocab_size
    except (OSError, ValueError, KeyError) as error:
        raise TrainError(f"model: its config cannot be read: {first_line(error)}") from error
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    rows = sum(shard.rows for shard in manifest.train)
    batch, total = steps(rows, args)
    half = bool(recipe.trainer.get("bf16") or recipe.trainer.get("fp16"))
    flops = flops_per_token(model, length)
    memory = estimate_memory(
        model, args.per_device_train_batch_size, length, half, bool(args.gradient_checkpointing), recipe.loss == "auto"
    )
    reached = measured_flops(args.device, half)
    tokens = total * batch * length
    seconds = tokens * flops / (0.6 * reached * args.world_size)
    for name, value in {
        "corpus": f"{manifest.name}, {rows:,} rows of {length:,} tokens",
        "model": f"{model.num_parameters():,} parameters",
        "steps": f"{total:,} of {batch * length:,} tokens ({batch:,} rows), {total * batch / rows:.2f} passes over the corpus",
        "tokens": f"{tokens:,}",
        "memory": f"about {memory.total / 1e9:.1f} GB on each device: {memory.states / 1e9:.1f} weights, gradients and AdamW, {memory.activations / 1e9:.1f} activations, {memory.logits / 1e9:.1f} logits",
        "work": f"{flops / 1e9:.3f} GFLOP a token, {tokens * flops:.3g} FLOP in all",
        "time": f"about {duration(seconds)} on {args.world_size} x {_device(args.device)}: {tokens / seconds:,.0f} tokens/s at 60% of the {reached / 1e12:.2f} TFLOP/s that a large product reaches here, without evaluations",
        "output": f"{recipe.output} (not touched)",
    }.items():
        print(f"{name:8}{value}")
    if args.device.type != "cuda":
        there = [
            f"{duration(tokens * flops / (0.4 * PEAK_TFLOPS[card] * 1e12))} on one {card}"
            for card in ("RTX 4090", "A100", "H100")
        ]
        print(f"{'or':8}{', '.join(there)}, if it reaches 40% MFU")
    return 0


def steps(rows: int, args: Any) -> tuple[int, int]:
    """Rows an optimizer step, and how many steps the Trainer will take."""
    at_once = args.per_device_train_batch_size * args.world_size
    batches = rows // at_once if args.dataloader_drop_last else -(-rows // at_once)
    each_pass = max(-(-batches // args.gradient_accumulation_steps), 1)
    total = args.max_steps if args.max_steps > 0 else -(-int(args.num_train_epochs * 1e6) * each_pass // 1_000_000)
    return at_once * args.gradient_accumulation_steps, total


def training_arguments(recipe: Recipe, *, planning: bool = False) -> Any:  # transformers' TrainingArguments
    """The Trainer's arguments of a recipe; when only `planning`, a recipe for a GPU is taken without one. Raises
    TrainError for what transformers refuses.
    """
    import torch
    from transformers import TrainingArguments
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")  # transformers knows no other name
    defaults = {
        "report_to": "none",
        "project": "corpus-ja",  # of trackio; a resumed run goes on in the record of its name
        "run_name": recipe.output.name,
        "ddp_find_unused_parameters": False,
        "ddp_broadcast_buffers": False,
        "disable_tqdm": True,
    }
    values = {**defaults, **recipe.trainer, **DECIDED}
    needs_gpu = [key for key in ("bf16", "fp16", "tf32", "torch_compile") if values.get(key) is True]
    if needs_gpu and not torch.cuda.is_available() and not values.get("use_cpu"):
        if not planning:
            raise TrainError(
                f"The recipe is meant for a GPU ({', '.join(f'{key}: true' for key in needs_gpu)}), and none is visible; run it where there is one, or set "
                f"{' '.join(f'{key}=false' for key in needs_gpu)} use_cpu=true."
            )
        values |= {**dict.fromkeys(needs_gpu, False), "use_cpu": True}
    try:
        return TrainingArguments(output_dir=str(recipe.output), **values)
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        raise TrainError(f"trainer: {' '.join(str(error).split())}") from error


def _checkpoint(output: Path, resume: str | None) -> Path | None:
    """Where to go on. A run never begins over another's checkpoints."""
    from train.trainer import checkpoints

    there = checkpoints(output)
    if resume is None:
        if there:
            raise TrainError(f"{there[-1]} is there already; go on with --resume auto, or say another output=DIR.")
        return None
    if resume == "auto":
        return there[-1] if there else None
    if not Path(resume).is_dir():
        raise TrainError(
            f"--resume {resume}: there is no such folder; whole checkpoints: {', '.join(map(str, there)) or 'none'}."
        )
    return Path(resume)


def _put_liger_in(model: Any, args: Any) -> None:
    """Liger's kernels before anything is proved of the model: the Trainer would put them in when training begins, and its
    fused loss over ours. Raises TrainError where Liger is not installed.
    """
    from transformers.integrations.liger import apply_liger_kernel

    try:
        apply_liger_kernel(model, {**(args.liger_kernel_config or {}), "fused_linear_cross_entropy": False})
    except ImportError as error:
        raise TrainError(
            "The recipe asks for Liger's kernels (use_liger_kernel: true), and liger-kernel is not installed; pip install "
            "'corpus-ja[liger]', or set use_liger_kernel=false."
        ) from error
    args.use_liger_kernel = False  # done


def _as_wide(sizes: Any, model: Any) -> Any:
    """Bytes of every row of the embedding; rows that stand for no token have none."""
    import numpy as np

    rows = model.get_input_embeddings().weight.shape[0]
    return np.pad(np.asarray(sizes, dtype=np.int64)[:rows], (0, max(0, rows - len(sizes))))


def _finish(recipe: Recipe, trainer: Any, manifest: Any, attended: str, say: "_Teller") -> None:
    import statistics

    import torch

    from train.callbacks import page, written
    from train.card import write_card, write_curves

    folder = recipe.output / "model"
    trainer.save_model(str(folder))
    if not trainer.is_world_process_zero():
        return
    (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle; recipe.yaml says the same to anybody
    log = trainer.state.log_history
    curves = write_curves(log, manifest.source_names, recipe.output / "curves.svg")
    if curves:
        (folder / "curves.svg").write_bytes((recipe.output / "curves.svg").read_bytes())
    speeds = [line["tokens_per_second"] for line in log if "tokens_per_second" in line]
    facts = {
        "steps": f"{trainer.state.global_step:,} of {trainer.tokens_a_step:,} tokens",
        "attention": attended,
        "device": f"{trainer.args.world_size} x {_device(trainer.args.device)}",
        "torch": torch.__version__,
    }
    if speeds:
        facts["tokens a second (median of log lines)"] = f"{statistics.median(speeds):,.0f}"
    used = [line["mfu"] for line in log if "mfu" in line]
    if used:
        facts["MFU (6 x matrix parameters + 12 x layers x width x length a token)"] = f"{statistics.median(used):.1%}"
    lines = written(recipe.output / "completions.jsonl")
    write_card(
        folder / "README.md", recipe, manifest, log, facts, page(lines, latest=1) if lines else None, curves=curves
    )
    (folder / "recipe.yaml").write_text(resolved(recipe), encoding="utf-8")
    last = next((line for line in reversed(log) if "eval_bits_per_byte" in line), None)
    if last is not None:
        each = ", ".join(
            f"{name} {last[key]:.3f}" for name in manifest.source_names if (key := f"eval_bits_per_byte_{name}") in last
        )
        say(f"held-out bits per byte: {last['eval_bits_per_byte']:.3f} ({each})")
    say(f"Model: {folder}; its card: {folder / 'README.md'}")


def _evaluate(recipe: Recipe, say: "_Teller") -> int:
    """Ask `train.evaluate`, in a process of its own, for the article's table; its exit status. The model is safe whatever
    becomes of it.
    """
    from train.trainer import checkpoints

    models = [f"base={recipe.model.source}"] if recipe.model.source else []
    models += [f"{folder.name.removeprefix('checkpoint-')}={folder}" for folder in checkpoints(recipe.output)]
    asked = recipe.evaluation
    command = [
        sys.executable,
        "-m",
        "train.evaluate",
        "--model",
        *models,
        "--corpus",
        str(recipe.corpus),
        "--output",
        str(recipe.output / "evaluation"),
    ]
    if asked is None:
        say(f"Evaluate: python {' '.join(command[1:])}")
        return 0
    command += ["--tasks", asked.tasks, "--jglue", asked.jglue, "--limit", str(asked.limit)]
    status = subprocess.run(command, check=False).returncode  # noqa: S603 - our own program
    if status:
        say(f"The model is saved; its evaluation was not finished. Again: python {' '.join(command[1:])}")
    return status


def _device(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name() if device.type == "cuda" else f"CPU ({os.cpu_count()} cores)"


class _Teller:
    """Prints once, however many processes there are."""

    def __init__(self, speaks: bool) -> None:
        self.speaks = speaks

    def __call__(self, sentence: str) -> None:
        if self.speaks:
            print(sentence, flush=True)


if __name__ == "__main__":
    sys.exit(main())
