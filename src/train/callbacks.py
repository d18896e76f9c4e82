"""What happens beside the steps: a stop that leaves a checkpoint, and completions that one can read."""

import json
import signal
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback

from train import completions


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


class EvaluateAtTheEnd(TrainerCallback):
    """The last step is evaluated whatever the schedule says: inside the run, since a tracker closes its record when training
    ends, and once.
    """

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_evaluate = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_evaluate = False


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
    """Continue fixed prompts before the first step and at every evaluation, and keep what was written: `completions.jsonl`
    and, beside the base model's, `completions.md`.
    """

    def __init__(self, prompts: Sequence[str], tokens: int, tokenizer: Any, output: Path) -> None:
        self.prompts, self.tokens, self.tokenizer, self.output = prompts, tokens, tokenizer, output

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
        attention = model.config._attn_implementation  # noqa: SLF001 - transformers' only name for it
        model.set_attn_implementation("sdpa")  # kernels that want boundaries have no use for a growing cache
        try:
            made = completions.complete(model, self.tokenizer, self.prompts, self.tokens)
        finally:
            model.set_attn_implementation(attention)
        path = self.output / "completions.jsonl"
        lines = [line for line in written(path) if line["step"] < state.global_step]
        lines += [{"step": state.global_step, **asdict(one)} for one in made]
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
        (self.output / "completions.md").write_text(page(lines), encoding="utf-8")


def written(path: Path) -> list[dict[str, Any]]:
    """The lines of a `completions.jsonl`, oldest step first; none where there is no file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def page(lines: Sequence[dict[str, Any]], latest: int | None = None) -> str:
    """Completions under their prompts as Markdown, the base model's first; of later steps the `latest`, or all."""
    steps = list(dict.fromkeys(line["step"] for line in lines))
    shown = steps if latest is None else [step for step in steps if step == 0 or step in steps[-latest:]]
    return completions.page(
        {
            f"step {step}" if step else "before": [
                completions.Completion(**{key: value for key, value in line.items() if key != "step"})
                for line in lines
                if line["step"] == step
            ]
            for step in shown
        }
    )
