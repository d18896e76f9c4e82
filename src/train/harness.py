"""The tasks run by lm-eval: it collects requests, splits prompt from answer in tokens, generates and stops; ours are the
items, the prompts, the score of an answer (`jglue.py`), and that the choices of an item share one pass over its prompt.

A task is handed to `lm_eval.evaluator.evaluate` as an object, and the model as one already loaded: nothing is looked up
on the Hub, no data set is copied to a cache, no code comes from a task file. lm-eval cuts a prompt that does not fit
the context from its left, where description and examples stand, without a word; `measure` counts those beforehand
with the model's own tokenizer. Rejected: lm-eval's own Japanese tasks (their prompt of two examples exceeds what a
context of 1,024 leaves in 99.6% of JSQuAD's items, they know neither local files nor JNLI's constants).
"""

import inspect
import logging
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from train import jglue
from train.bits import context_of
from train.errors import TrainError
from train.jglue import TASKS, Form, Item

Record = dict[str, Any]

AnswerTokens = int | Literal["gold"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task ready to run: its items in order, their prompts, and how an answer is asked for."""

    task: str
    form: Form
    shots: int
    items: tuple[Item, ...]
    prompts: tuple[str, ...]
    answer_tokens: AnswerTokens = 32


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long a task's prompts are for one tokenizer, in tokens, and the share that the context cuts."""

    median: int
    longest: int
    cut: tuple[bool, ...]

    @property
    def share(self) -> float:
        """The share of items whose prompt loses its beginning."""
        return sum(self.cut) / len(self.cut)


def prepare(data: jglue.TaskData, form: Form, shots: int, limit: int = 0, answer_tokens: AnswerTokens = 32) -> Prepared:
    """The items of a task with their prompts; raises TrainError where there are too few examples."""
    items = data.sample(limit)
    prompts = tuple(form.prompt(item, data.examples(item, shots)) for item in items)
    return Prepared(data.task, form, shots, items, prompts, answer_tokens)


def require() -> None:
    """Raise TrainError unless lm-eval is installed."""
    try:
        import lm_eval.evaluator  # noqa: F401
    except ImportError as error:
        raise TrainError(
            f"Evaluation needs lm-eval, which is not installed or not whole ({error}): pip install 'corpus-ja[eval]'."
        ) from error


def language_model(model: Any, tokenizer: Any, batch_size: int) -> Any:
    """A loaded model as lm-eval's; `batch_size` is how many continuations or generations run at once."""
    require()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    import lm_eval.models.huggingface as huggingface

    class Model(huggingface.HFLM):
        """lm-eval's transformers model, which reads a prompt once for all its choices, and is right also where a
        tokenizer merges across the end of a prompt.
        """

        def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
            before, after = super()._encode_pair(context, continuation)
            whole = self.tok_encode(context + continuation)
            if whole[: len(before)] == before:
                return before, after
            differing = (at for at, (one, other) in enumerate(zip(before, whole, strict=False)) if one != other)
            same = next(differing, len(whole) - 1)
            return whole[: max(same, 1)], whole[max(same, 1) :]

        def _loglikelihood_tokens(
            self,
            requests: Sequence[tuple[tuple[str, str], list[int], list[int]]],
            disable_tqdm: bool = False,
            override_bs: int | None = None,
        ) -> list[tuple[float, bool]]:
            del override_bs
            pairs = [(context, continuation) for _, context, continuation in requests]
            bar = huggingface.tqdm(total=len(pairs), disable=disable_tqdm, desc="Choices")
            found = continuation_likelihoods(self.model, pairs, self.max_length, int(self.batch_size), bar.update)
            bar.close()
            return found

    return Model(
        pretrained=model,
        tokenizer=tokenizer,
        batch_size=batch_size,
        max_length=context_of(model.config),
    )


def continuation_likelihoods(
    model: Any,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    room: int,
    rows: int = 8,
    done: Callable[[int], object] = lambda _: None,
) -> list[tuple[float, bool]]:
    """For each (context, continuation) in token ids the log-likelihood of the continuation in nats, and whether it is
    what greedy decoding would write; `room` is the model's context, `rows` how many continuations run at once.

    A context is computed once and its keys and values serve every continuation: with JCommonsenseQA's five choices
    that is a fifth of the work. Contexts of one length run together, so nothing is padded before a scored token. One
    that is too long loses its beginning, by the longest of its continuations, so that all of an item see the same.
    """
    import torch

    members: dict[tuple[int, ...], list[int]] = {}
    for number, (context, _) in enumerate(pairs):
        members.setdefault(tuple(context), []).append(number)
    kinds: dict[tuple[int, int], list[tuple[tuple[int, ...], list[int]]]] = {}
    for context, numbers in members.items():
        longest = max(len(pairs[number][1]) for number in numbers)
        left = context[-(room + 1 - longest) :]
        kinds.setdefault((len(left), len(numbers)), []).append((left, numbers))
    found: list[tuple[float, bool]] = [(math.nan, False)] * len(pairs)
    with torch.no_grad():
        for (_, choices), alike in sorted(kinds.items(), reverse=True):
            together = max(1, rows // choices)
            for begin in range(0, len(alike), together):
                batch = alike[begin : begin + together]
                numbers = [number for _, them in batch for number in them]
                contexts = torch.tensor([context for context, _ in batch], device=model.device)
                answers = [torch.tensor(list(pairs[number][1]), device=model.device) for number in numbers]
                for number, logits, answer in zip(
                    numbers, _answer_logits(model, contexts, answers, choices), answers, strict=True
                ):
                    chances = torch.log_softmax(logits.float(), dim=-1)
                    likelihood = chances.gather(-1, answer[:, None]).sum(dtype=torch.float64)
                    found[number] = (float(likelihood), bool((chances.argmax(-1) == answer).all()))
                done(len(numbers))
    return found


def _answer_logits(model: Any, contexts: Any, answers: Sequence[Any], choices: int) -> Iterator[Any]:
    """For each answer the logits of its tokens [tokens, V]; `choices` answers in a row belong to each context [B, L]."""
    import torch

    fewer = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    read = model(input_ids=contexts, use_cache=True, **fewer)
    first = read.logits[:, -1:].repeat_interleave(choices, dim=0)
    rest = torch.nn.utils.rnn.pad_sequence(list(answers), batch_first=True)[:, :-1]
    if not rest.shape[1]:
        yield from first
        return
    cache: Any = getattr(read, "past_key_values", None)
    if hasattr(cache, "batch_repeat_interleave"):
        cache.batch_repeat_interleave(choices)
        later = model(input_ids=rest, past_key_values=cache, use_cache=True).logits
    else:  # a recurrent model: it reads the prompt again for each answer
        whole = torch.cat([contexts.repeat_interleave(choices, dim=0), rest], dim=1)
        later = model(input_ids=whole, use_cache=False).logits[:, contexts.shape[1] :]
    for row, answer in enumerate(answers):
        yield torch.cat([first[row], later[row, : len(answer) - 1]])


def measure(lm: Any, prepared: Prepared) -> Lengths:
    """How long the prompts are for this model; raises TrainError where its context holds not even the answer."""
    room = int(lm.max_length)
    lengths: list[int] = []
    cut: list[bool] = []
    for item, prompt in zip(prepared.items, prepared.prompts, strict=True):
        tokens = len(lm.tok_encode(prompt))
        if item.choices:
            pairs = [lm._encode_pair(prompt, choice) for choice in prepared.form.choices(item)]  # noqa: SLF001 - what is run
            answer = max(len(after) for _, after in pairs)
            whole = max(len(before) + len(after) for before, after in pairs) - 1  # the last token is only predicted
        else:
            answer = _answer_tokens(lm, prepared, item)
            whole = tokens + answer
        if answer >= room:
            raise TrainError(
                f"The model's context is {room} tokens, and {TASKS[prepared.task]} needs {answer} for an answer alone "
                f"(item {item.id}); leave the task out with --tasks, or ask for shorter answers with --answer-tokens."
            )
        lengths.append(tokens)
        cut.append(whole > room)
    return Lengths(int(statistics.median(lengths)), max(lengths), tuple(cut))


def _answer_tokens(lm: Any, prepared: Prepared, item: Item) -> int:
    if prepared.answer_tokens != "gold":
        return prepared.answer_tokens
    return max(1, *(len(lm.tok_encode(answer, add_special_tokens=False)) for answer in item.answers))


def run(lm: Any, prepared: Sequence[Prepared]) -> dict[str, list[Record]]:
    """Every item's record by task, in the order of the items: `id`, `answer`, `gold`, `scores`, and for choices the
    `loglikelihoods`.
    """
    require()
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task
    from lm_eval.evaluator import evaluate

    class Asked(Task):
        """A prepared task in the shape that lm-eval's loop calls for."""

        VERSION = 1
        OUTPUT_TYPE = "multiple_choice"

        def __init__(self, one: Prepared) -> None:
            self.one = one
            self.records: dict[str, Record] = {}
            super().__init__(config={"task": one.task, "num_fewshot": one.shots})

        def download(self, *args: object, **kwargs: object) -> None:
            """There is nothing to fetch."""

        def has_training_docs(self) -> bool:
            return False

        def has_validation_docs(self) -> bool:
            return True

        def has_test_docs(self) -> bool:
            return False

        def validation_docs(self) -> list[dict[str, Any]]:
            return [{"number": number, "id": item.id} for number, item in enumerate(self.one.items)]

        def doc_to_text(self, doc: Mapping[str, Any]) -> str:
            return str(self.one.prompts[doc["number"]])

        def doc_to_target(self, doc: Mapping[str, Any]) -> str:
            return str(self.one.form.answer(self.one.items[doc["number"]]))

        def fewshot_context(self, doc: Mapping[str, Any], **_: object) -> str:
            return str(self.one.prompts[doc["number"]])

        def construct_requests(self, doc: Mapping[str, Any], ctx: str, **given: Any) -> list[Any]:
            item = self.one.items[doc["number"]]
            metadata = given["metadata"]
            if item.choices:
                return [
                    Instance(
                        request_type="loglikelihood", doc=doc, arguments=(ctx, choice), idx=number, metadata=metadata
                    )
                    for number, choice in enumerate(self.one.form.choices(item))
                ]
            wish = {"until": ["\n"], "max_gen_toks": _answer_tokens(lm, self.one, item), "do_sample": False}
            return [Instance(request_type="generate_until", doc=doc, arguments=(ctx, wish), idx=0, metadata=metadata)]

        def process_results(self, doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, float]:
            item = self.one.items[doc["number"]]
            record = (
                choice_record(item, self.one.form, [float(result[0]) for result in results])
                if item.choices
                else text_record(item, str(results[0]))
            )
            self.records[item.id] = record
            scores: dict[str, float] = record["scores"]
            return scores

        def aggregation(self) -> dict[str, Any]:
            return dict.fromkeys(("acc", "acc_norm", "acc_bytes", "exact_match", "f1"), statistics.fmean)

        def higher_is_better(self) -> dict[str, bool]:
            return dict.fromkeys(self.aggregation(), True)

    tasks = {one.task: Asked(one) for one in prepared}
    with _quiet():
        evaluate(lm, {"tasks": tasks, "groups": {}}, bootstrap_iters=0, log_samples=False)
    return {name: [task.records[item.id] for item in task.one.items] for name, task in tasks.items()}


def choice_record(item: Item, form: Form, loglikelihoods: Sequence[float]) -> Record:
    """The record of a chosen answer: the likeliest choice, and the likeliest per character (`acc_norm`) and per byte.

    A model that gives no likelihood (NaN, from a broken checkpoint) has chosen nothing: every score is 0.
    """
    choices = form.choices(item)
    weights = {
        "acc": [1.0] * len(choices),
        "acc_norm": [float(len(choice)) for choice in choices],
        "acc_bytes": [float(len(choice.encode("utf-8", "replace"))) for choice in choices],
    }
    chosen = {name: _largest(loglikelihoods, weight) for name, weight in weights.items()}
    return {
        "id": item.id,
        "gold": item.gold,
        "answer": chosen["acc"],
        "loglikelihoods": [value if math.isfinite(value) else None for value in loglikelihoods],
        "scores": {name: float(number == item.gold) for name, number in chosen.items()},
    }


def _largest(values: Sequence[float], weights: Sequence[float]) -> int:
    if not all(math.isfinite(value) for value in values):
        return -1
    per = [value / weight for value, weight in zip(values, weights, strict=True)]
    return per.index(max(per))


def text_record(item: Item, answer: str) -> Record:
    """The record of a written answer."""
    return {
        "id": item.id,
        "gold": list(item.answers),
        "answer": answer.strip(),
        "scores": {
            "exact_match": jglue.exact_match(answer, item.answers),
            "f1": jglue.character_f1(answer, item.answers),
        },
    }


class _quiet:  # noqa: N801 - reads as a statement
    """lm-eval's progress bars where there is a terminal, silence elsewhere: its loops take no setting for it."""

    def __enter__(self) -> None:
        import lm_eval.api.model
        import lm_eval.api.task
        import lm_eval.models.huggingface as huggingface

        self.places = (lm_eval.api.model, lm_eval.api.task, huggingface)
        self.bars = [place.tqdm for place in self.places]
        if not sys.stderr.isatty():
            for place, bar in zip(self.places, self.bars, strict=True):
                place.tqdm = _silent(bar)
        self.level = logging.getLogger("transformers").level
        logging.getLogger("transformers").setLevel(logging.ERROR)  # "sequence length is longer than": it is counted

    def __exit__(self, *_: object) -> None:
        for place, bar in zip(self.places, self.bars, strict=True):
            place.tqdm = bar
        logging.getLogger("transformers").setLevel(self.level)


def _silent(bar: Any) -> Any:
    def made(*args: Any, **settings: Any) -> Any:
        return bar(*args, **{**settings, "disable": True})

    return made
