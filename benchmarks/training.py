"""Training beside a plain Trainer: tokens a second, MFU, peak memory, and what a step waits for its data.

    python benchmarks/training.py --corpus builds/quickstart [--shape tiny|small|litellama] [--steps N] [--rows N]

Each variant runs in a process of its own, on the same model (new weights, one seed), the same rows, the same batch and
dtype; the first steps are left out, the median of the rest is quoted. `plain` is what a script of forty lines does: rows
as one sequence, the model's own loss, the Trainer's defaults. `ours` keeps documents apart and takes the loss in slices.
On a GPU there are `ours` with Liger's kernels and with torch.compile besides. MFU: 6 x the parameters in matrix products
+ 12 x layers x width x length a token, over the device's dense peak (train.throughput).
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SHAPES = {
    "tiny": {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2},
    "small": {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 6, "num_key_value_heads": 2},
    "litellama": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "num_key_value_heads": 2},
}  # fmt: skip
ENTRIES = 50304
SKIPPED = 3
"""Steps before the clock counts: allocation, and compilation where there is any."""


def measure(variant: str, asked: argparse.Namespace, output: str) -> dict[str, Any]:
    """One variant in this process."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments, set_seed

    from train import attention, loss
    from train.collate import Collator
    from train.data import open_corpus
    from train.throughput import flops_per_token, peak_flops
    from train.trainer import DocumentTrainer

    corpus = open_corpus(asked.corpus)
    gpu = torch.cuda.is_available()
    half = gpu or asked.bf16
    length = corpus.manifest.sequence_length
    set_seed(1)
    kind = "sdpa" if variant == "plain" else attention.choose("auto", "cuda" if gpu else "cpu", half)[0]
    config = LlamaConfig(
        vocab_size=ENTRIES, max_position_embeddings=length, tie_word_embeddings=False, **SHAPES[asked.shape]
    )
    model = LlamaForCausalLM._from_config(config, attn_implementation=kind).to("cuda" if gpu else "cpu")
    arguments = TrainingArguments(
        output_dir=output, max_steps=SKIPPED + asked.steps, per_device_train_batch_size=asked.rows, gradient_accumulation_steps=asked.accumulate,
        bf16=half, report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, dataloader_drop_last=True, use_cpu=not gpu,
        remove_unused_columns=False, logging_nan_inf_filter=variant == "plain", torch_compile="compile" in variant, learning_rate=1e-4,
        use_liger_kernel="liger" in variant, liger_kernel_config={"fused_linear_cross_entropy": False} if "liger" in variant else None,
    )  # fmt: skip
    marks: list[float] = []
    waited: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if gpu:
                torch.cuda.synchronize()
            marks.append(time.perf_counter())

    def plainly(rows: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        tokens = torch.stack([row["input_ids"] for row in rows])
        return {"input_ids": tokens, "labels": tokens.clone()}

    class Plain(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(corpus.train)

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            row = torch.from_numpy(corpus.train[index].tokens)
            return {
                "input_ids": torch.nn.functional.pad(
                    row, (0, length - len(row)), value=corpus.manifest.tokenizer.eos_id
                )
            }

    class Waits:
        """How long the Trainer waits for its next micro-batches."""

        def get_batch_samples(self, *arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            given = super().get_batch_samples(*arguments, **named)  # type: ignore[misc]
            waited.append(time.perf_counter() - began)
            return given

    trainer: Any
    if variant == "plain":
        trainer = type("WatchedTrainer", (Waits, Trainer), {})(
            model=model, args=arguments, train_dataset=Plain(), data_collator=plainly, callbacks=[Clock()]
        )
    else:
        collate = Collator(length, corpus.train.most_pieces, corpus.manifest.tokenizer.eos_id)
        attention.prove_separate(model, collate, 1000, length, arguments.device, half)
        loss.use(model, sliced=True)
        import numpy as np

        trainer = type("WatchedTrainer", (Waits, DocumentTrainer), {})(
            model=model, args=arguments, train_dataset=corpus.train, data_collator=collate, callbacks=[Clock()], sources=corpus.manifest.source_names,
            token_bytes=np.ones(ENTRIES), terms={}, flops=flops_per_token(model, length), peak=None, recipe="",
        )  # fmt: skip
    began = time.process_time()
    trainer.train()
    steps = [after - before for before, after in zip(marks[SKIPPED - 1 :], marks[SKIPPED:], strict=False)]
    tokens = asked.rows * asked.accumulate * length
    speed = tokens / statistics.median(steps)
    peak = peak_flops(None, half)
    memory = torch.cuda.max_memory_allocated() if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "variant": variant, "attention": kind, "tokens_per_second": round(speed, 1), "memory_gb": round(memory / 1e9, 2),
        "mfu": round(speed * flops_per_token(model, length) / peak, 4) if peak else None,
        "waiting_share": round(sum(waited[SKIPPED:]) / sum(steps), 4), "processor_seconds": round(time.process_time() - began, 1),
        "device": torch.cuda.get_device_name() if gpu else "CPU", "parameters": model.num_parameters(),
    }  # fmt: skip


def loader(asked: argparse.Namespace) -> float:
    """Millions of tokens a second that random batches of 8 rows come at, collated, in one process."""
    import numpy as np

    from train.collate import Collator
    from train.data import open_corpus

    corpus = open_corpus(asked.corpus)
    collate = Collator(corpus.manifest.sequence_length, corpus.train.most_pieces, 0)
    order = np.random.default_rng(0).integers(0, len(corpus.train), (500, 8)).tolist()
    collate(corpus.train.__getitems__(order[0]))
    began = time.process_time()
    tokens = sum(collate(corpus.train.__getitems__(rows))["input_ids"].numel() for rows in order)
    return float(tokens / (time.process_time() - began) / 1e6)


def main() -> None:
    """Every variant, and a table with ratios to `plain`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("builds/quickstart"))
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="on a CPU too")
    parser.add_argument("--variants", default="")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        with tempfile.TemporaryDirectory() as output:
            print(json.dumps(measure(asked.one, asked, output)))
        return
    import torch

    variants = (
        asked.variants.split(",")
        if asked.variants
        else ["plain", "ours", *(["ours+liger", "ours+compile"] if torch.cuda.is_available() else [])]
    )
    print(f"loader: {loader(asked):.1f} M tokens/s (random batches of 8 rows, collated, one process)")
    print(f"{asked.shape}, {asked.rows} x {asked.accumulate} rows a step, {asked.steps} steps counted")
    plain = None
    for variant in variants:
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--one", variant], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"{variant}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
            continue
        result = json.loads(done.stdout.strip().splitlines()[-1])
        plain = plain or result["tokens_per_second"]
        mfu = f", MFU {result['mfu']:.1%}" if result["mfu"] else ""
        print(
            f"{variant:14}{result['tokens_per_second']:12,.0f} tokens/s  {result['tokens_per_second'] / plain:5.2f} x plain  {result['memory_gb']:6.2f} GB  "
            f"waits {result['waiting_share']:.2%}{mfu}  ({result['attention']}, {result['device']})"
        )


if __name__ == "__main__":
    main()
