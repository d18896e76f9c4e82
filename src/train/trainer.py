"""transformers' Trainer, told what documents are: loss and bits per byte of each source, speed, and checkpoints that are
whole or do not count.

What differs from a plain Trainer, and why: `compute_loss` takes every token's loss beside the sum, and adds it up by
source on the device, so that nothing is read back before a log line; `evaluate` gives bits per byte of each source, each
row once whatever the number of processes; `_save_checkpoint` writes `complete.json` last and deletes older checkpoints
after that, so a kill or a full disk leaves the newest whole one; the marker holds what a resumed run must share.
"""

import json
import math
import os
import resource
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from transformers import Trainer
from transformers.trainer_utils import rotate_checkpoints

from train.collate import Collator
from train.data import Rows
from train.errors import TrainError, first_line

MARKER = "complete.json"


def checkpoints(output: Path) -> list[Path]:
    """The whole checkpoints of a run, oldest first."""
    found = [folder for folder in output.glob("checkpoint-*") if (folder / MARKER).is_file()]
    return sorted(found, key=lambda folder: int(folder.name.rpartition("-")[2]))


def check_resume(checkpoint: Path, terms: Mapping[str, Any]) -> None:
    """Refuse to go on under other terms (batch, processes, corpus, order), under which no step would be the step that an
    uninterrupted run takes. Raises TrainError naming each.
    """
    try:
        before = json.loads((checkpoint / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainError(
            f"{checkpoint} has no readable {MARKER}, so it was not finished; name another, or start anew in another output."
        ) from error
    changed = [f"{key} was {before.get(key)}, is {value}" for key, value in terms.items() if before.get(key) != value]
    if changed:
        raise TrainError(
            f"{checkpoint} cannot be resumed so: {'; '.join(changed)}. Set it back, or start a new run in another output."
        )


class DocumentTrainer(Trainer):
    """A Trainer over packed rows."""

    def __init__(
        self,
        *,
        sources: Sequence[str],
        token_bytes: NDArray[np.int64],
        terms: Mapping[str, Any],
        flops: float,
        peak: float | None,
        recipe: str,
        **arguments: Any,
    ) -> None:
        """`sources`: names by number; `token_bytes`: UTF-8 bytes of each id; `terms`: what a resumed run must share;
        `flops`: of a training token; `peak`: of a device, FLOP/s; `recipe`: its text, kept beside every checkpoint.
        """
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs = True  # our forward takes num_items_in_batch
        self._sources = list(sources)
        self._terms, self._flops, self._peak, self._recipe = dict(terms), flops, peak, recipe
        device = self.args.device
        self._bytes = torch.from_numpy(np.asarray(token_bytes, dtype=np.int64)).to(device)
        self._sums = torch.zeros(2, len(self._sources), dtype=torch.float64, device=device)
        self._last = (time.perf_counter(), 0)
        self._elsewhere = 0.0

    @property
    def tokens_a_step(self) -> int:
        """Tokens of an optimizer step over all processes, a shard's short last rows counted as full."""
        width = self._collator.sequence_length
        return int(
            self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size * width
        )

    @property
    def _collator(self) -> Collator:
        collator = self.data_collator
        assert isinstance(collator, Collator)  # noqa: S101 - for the type checker
        return collator

    # ---- loss

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The batch's share of the step's loss: its sum over the targets of all micro-batches and processes."""
        sources = inputs.pop("token_sources")
        outputs = model(**inputs, num_items_in_batch=num_items_in_batch)
        loss = outputs["loss"]
        if model.training:
            self._add(self._sums, sources, outputs["token_losses"], inputs["labels"] != -100)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # DDP takes the mean of gradients
        return (loss, outputs) if return_outputs else loss

    @staticmethod
    def _add(sums: Tensor, sources: Tensor, losses: Tensor, counted: Tensor) -> None:
        where = sources.reshape(-1)
        sums[0].index_add_(0, where, losses.reshape(-1).double())
        sums[1].index_add_(0, where, counted.reshape(-1).double())

    def _over_processes(self, sums: Tensor) -> NDArray[np.float64]:
        if self.args.world_size > 1:
            dist.all_reduce(sums)
        numbers: NDArray[np.float64] = sums.cpu().numpy()
        return numbers

    # ---- watching

    def train(self, *arguments: Any, **named: Any) -> Any:
        """Trainer's, with the clock started."""
        self._last = (time.perf_counter(), -1)
        return super().train(*arguments, **named)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Trainer's line, with loss by source, tokens, speed, MFU, memory and remaining time."""
        if "loss" in logs:
            nats, counts = self._over_processes(self._sums.clone())
            self._sums.zero_()
            logs |= {
                f"loss_{name}": nat / count
                for name, nat, count in zip(self._sources, nats, counts, strict=True)
                if count
            }
            logs |= self._speed()
        super().log(logs, start_time)

    def _speed(self) -> dict[str, float]:
        step, now = self.state.global_step, time.perf_counter()
        began, before = self._last
        self._last, elsewhere, self._elsewhere = (now, step), self._elsewhere, 0.0
        said: dict[str, float] = {"tokens_seen": step * self.tokens_a_step}
        gpu = self.args.device.type == "cuda"
        used = torch.cuda.max_memory_allocated() if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        said["memory_gb"] = round(used / 1e9, 3)
        if before < 0 or step <= before:  # the first line holds start-up and compilation
            return said
        seconds = max(now - began - elsewhere, 1e-9)
        speed = (step - before) * self.tokens_a_step / seconds
        said["tokens_per_second"] = round(speed, 1)
        said["remaining_seconds"] = round((self.state.max_steps - step) * self.tokens_a_step / speed)
        if self._peak:
            said["mfu"] = round(speed * self._flops / (self._peak * self.args.world_size), 4)
        return said

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Time that is not training's."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._elsewhere += time.perf_counter() - began

    # ---- evaluation

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: Any = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Loss (nats a target) and bits per byte of the held-out rows, over all and by source. A row is read once, by one
        process. Bits per byte leave out targets that stand for no bytes (end of text), as `train.bits` does.
        """
        rows = self.eval_dataset if eval_dataset is None else eval_dataset
        with self._aside():
            metrics = self._measure(rows, metric_key_prefix)
        self.log(dict(metrics))
        control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)  # type: ignore[has-type]
        self.control = control
        return metrics

    def _measure(self, rows: Rows, prefix: str) -> dict[str, float]:
        sums = torch.zeros(4, len(self._sources), dtype=torch.float64, device=self.args.device)
        batch, world = self.args.per_device_eval_batch_size, self.args.world_size
        mine = list(range(self.args.process_index, len(rows), world))
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad(), self.accelerator.autocast():
            for begin in range(0, len(mine), batch):
                inputs = self._prepare_inputs(self._collator(rows.__getitems__(mine[begin : begin + batch])))
                sources = inputs.pop("token_sources")
                losses = self.model(**inputs)["token_losses"]
                targets = inputs["labels"]
                counted = targets != -100
                sizes = torch.where(counted, self._bytes[targets.clamp_min(0)], 0)
                self._add(sums[:2], sources, losses, counted)
                self._add(sums[2:], sources, torch.where(sizes > 0, losses, 0.0), sizes)
        self.model.train(was_training)
        totals = self._over_processes(sums)
        metrics: dict[str, float] = {}
        for name, (nats, count, of_text, size) in zip(["", *self._sources], [totals.sum(1), *totals.T], strict=True):
            own = f"_{name}" if name else ""
            if count:
                metrics[f"{prefix}_loss{own}"] = nats / count
            if size:
                metrics[f"{prefix}_bits_per_byte{own}"] = of_text / math.log(2) / size
        return metrics

    # ---- checkpoints

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        limit, self.args.save_total_limit = (
            self.args.save_total_limit,
            None,
        )  # nothing old goes before the new one is whole
        with self._aside():
            try:
                (folder / MARKER).unlink(missing_ok=True)
                super()._save_checkpoint(model, trial)
                if self.args.world_size > 1:
                    dist.barrier()
                if self.args.should_save:
                    (folder / "recipe.yaml").write_text(self._recipe, encoding="utf-8")
                    _write_durably(folder / MARKER, json.dumps(self._terms, indent=1))
            except Exception as error:
                if not isinstance(error, OSError | RuntimeError) and "afetensor" not in type(error).__name__:
                    raise
                shutil.rmtree(folder, ignore_errors=True)
                kept = checkpoints(Path(self.args.output_dir))
                stands = f"{kept[-1]} stands: go on with --resume auto." if kept else "There is no earlier one."
                raise TrainError(
                    f"{folder} could not be written ({first_line(error)}); make room on the disk. {stands}"
                ) from error
            finally:
                self.args.save_total_limit = limit
            if self.args.should_save:
                rotate_checkpoints(self.args.output_dir, limit, self.state.best_model_checkpoint, use_mtime=False)


def _write_durably(path: Path, text: str) -> None:
    """The whole file or none, on the disk and not in a buffer when this returns."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
