"""What happens beside the steps: a stop that leaves a checkpoint, and completions that one can read."""

import json
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback


class StopCleanly(TrainerCallback):
    """SIGTERM and Ctrl-C end the run after the step at hand, with a checkpoint; a second Ctrl-C ends it at once.

    With several processes one of them hearing the signal is enough: they agree after every step.
    """

    def __init__(self) -> None:
        self.heard: int | None = None
        """The signal that stopped the run."""
        self._before: dict[int, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.heard is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.heard = number

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if args.world_size > 1:
            flag = torch.tensor([self.heard or 0], device=args.device)
            dist.all_reduce(flag, op=dist.ReduceOp.MAX)
            self.heard = int(flag) or None
        if self.heard is not None:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Tell(TrainerCallback):
    """A line a log entry, for people: what the run is at, how it goes, how long it takes. Replaces the Trainer's printing of
    dictionaries; programs read `trainer_state.json`.
    """

    def __init__(self, sources: Sequence[str]) -> None:
        self.sources = sources

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if not state.is_world_process_zero or not logs:
            return
        at = f"step {state.global_step:,}/{state.max_steps:,}"
        if "loss" in logs:
            said = [
                f"loss {logs['loss']:.3f} ({self._each(logs, 'loss_')})",
                f"lr {logs.get('learning_rate', 0.0):.2g}",
                f"{logs['tokens_seen']:,.0f} tokens",
            ]
            if "tokens_per_second" in logs:
                said.append(f"{logs['tokens_per_second']:,.0f} tokens/s")
            if "mfu" in logs:
                said.append(f"MFU {logs['mfu']:.1%}")
            if "memory_gb" in logs:
                said.append(f"{logs['memory_gb']:.1f} GB")
            if "remaining_seconds" in logs:
                said.append(f"{duration(logs['remaining_seconds'])} left")
        elif "eval_bits_per_byte" in logs:
            said = [
                f"held out: {logs['eval_bits_per_byte']:.4f} bits per byte ({self._each(logs, 'eval_bits_per_byte_')})"
            ]
        else:
            return
        print(f"{at}: {', '.join(said)}", flush=True)

    def _each(self, logs: dict[str, float], prefix: str) -> str:
        return ", ".join(f"{name} {logs[prefix + name]:.3f}" for name in self.sources if prefix + name in logs)


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class Complete(TrainerCallback):
    """Continue fixed prompts before the first step and at every evaluation: `completions.jsonl` and, beside the base
    model's, `completions.md`. Greedy, so the words change when the model does.
    """

    def __init__(self, prompts: Sequence[str], tokens: int, tokenizer: Any, output: Path, bos: int | None) -> None:
        self.prompts, self.tokens, self.tokenizer, self.output, self.bos = prompts, tokens, tokenizer, output, bos

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step == 0:
            self._write(state, model)

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step > 0:
            self._write(state, model)

    def _write(self, state: Any, model: Any) -> None:
        if not self.tokens or not self.prompts or not state.is_world_process_zero:
            return
        self.output.mkdir(parents=True, exist_ok=True)
        path = self.output / "completions.jsonl"
        lines = [line for line in _lines(path) if line["step"] < state.global_step]
        for prompt in self.prompts:
            text = complete(model, self.tokenizer, prompt, self.tokens, self.bos)
            lines.append({"step": state.global_step, "prompt": prompt, "completion": text})
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
        (self.output / "completions.md").write_text(_page(lines), encoding="utf-8")


def complete(model: Any, tokenizer: Any, prompt: str, tokens: int, bos: int | None = None) -> str:
    """What a model writes after a prompt: at most `tokens` tokens, always the likeliest, up to its end of text.

    In the weights' own precision: autocast would cast all of them for every token.
    """
    ids = [*([] if bos is None else [bos]), *tokenizer.encode(prompt, add_special_tokens=False)]
    room = getattr(model.config, "max_position_embeddings", None) or len(ids) + tokens
    new = max(0, min(tokens, room - len(ids)))
    if not new or not ids:
        return ""
    attention = model.config._attn_implementation  # noqa: SLF001 - transformers' only name for it
    was_training = model.training
    model.eval()
    model.set_attn_implementation("sdpa")  # kernels that want boundaries have no use for a growing cache
    try:
        with torch.no_grad():
            given = torch.tensor([ids], device=model.device)
            written = model.generate(
                given, attention_mask=torch.ones_like(given), max_new_tokens=new, do_sample=False, use_cache=True,
            )  # fmt: skip
    finally:
        model.set_attn_implementation(attention)
        model.train(was_training)
    return str(tokenizer.decode(written[0, len(ids) :].tolist(), skip_special_tokens=True))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _page(lines: Sequence[dict[str, Any]]) -> str:
    """Completions under their prompts, oldest step first; what a model wrote stands in code spans that it cannot leave."""
    out = ["# Completions", ""]
    for prompt in dict.fromkeys(line["prompt"] for line in lines):
        out += [f"## {_span(prompt)}", ""]
        out += [
            f"- {'base' if line['step'] == 0 else 'step ' + str(line['step'])}: {_span(line['completion'])}"
            for line in lines
            if line["prompt"] == prompt
        ]
        out.append("")
    return "\n".join(out)


def _span(text: str) -> str:
    flat = "".join(c if c.isprintable() else " " for c in text)
    ticks = "`" * (1 + max(map(len, re.findall("`+", flat)), default=0))
    return f"{ticks} {flat} {ticks}" if flat.strip() else "(nothing)"
