"""Documents of a row never see each other: packed equals separate, in logits and gradients, and a leak stops the run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from train import attention
from train.collate import Collator
from train.data import Packed
from train.errors import TrainError

VOCABULARY, WIDTH = 97, 32


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def llama(attn: str = "sdpa") -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=WIDTH,
    )  # fmt: skip
    return LlamaForCausalLM._from_config(config, attn_implementation=attn)


def neox(attn: str = "sdpa") -> Any:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=WIDTH,
    )
    return GPTNeoXForCausalLM._from_config(config, attn_implementation=attn)


def gpt2(attn: str = "sdpa") -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=WIDTH, resid_pdrop=0.0, attn_pdrop=0.0, embd_pdrop=0.0, bos_token_id=0, eos_token_id=0
    )  # fmt: skip
    return GPT2LMHeadModel._from_config(config, attn_implementation=attn)


def documents() -> list[list[list[int]]]:
    """Two full rows of pieces."""
    random = np.random.default_rng(1)
    return [[random.integers(0, VOCABULARY, size).tolist() for size in sizes] for sizes in ((10, 1, 21), (5, 27))]


def packed(rows: list[list[list[int]]]) -> Packed:
    return attention._packed([[np.array(piece) for piece in row] for row in rows])


def collate(rows: Packed) -> dict[str, Any]:
    return Collator(WIDTH, 4, 0)(rows)


def loop(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    limits: Tensor,
    _: Tensor,
    most: int,
    __: int,
    *,
    window_size: tuple[int, int],
    scale: float,
) -> Tensor:
    """What variable-length kernels do, a piece at a time; query [tokens, heads, width]."""
    assert window_size == (-1, 0)
    assert most == WIDTH
    out = torch.zeros_like(query)
    for begin, end in zip(limits.tolist(), limits.tolist()[1:], strict=False):
        if end > begin:
            q, k, v = (t[begin:end].transpose(0, 1) for t in (query, key, value))
            scores = (q @ k.transpose(1, 2) * scale).masked_fill(
                torch.ones(end - begin, end - begin).triu(1).bool(), -torch.inf
            )
            out[begin:end] = (scores.softmax(-1) @ v).transpose(0, 1)
    return out


def of(made: Callable[[str], Any], attn: str) -> Any:
    if attn == attention.VARLEN:
        attention.register_varlen(loop)
    return made(attn)


@pytest.mark.parametrize("attn", ["sdpa", "eager", attention.VARLEN])
@pytest.mark.parametrize("made", [llama, neox, gpt2])
def test_packed_documents_get_the_logits_and_gradients_they_get_alone(made: Callable[[str], Any], attn: str) -> None:
    rows = documents()
    together, apart = of(made, attn), made("eager")
    batch = collate(packed(rows))
    inputs = {name: value for name, value in batch.items() if name not in {"labels", "token_sources"}}
    logits = together(**inputs, use_cache=False).logits
    targets = batch["labels"][:, 1:]
    torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, VOCABULARY), targets.reshape(-1), ignore_index=-100, reduction="sum"
    ).backward()
    for row, pieces in enumerate(rows):
        begin = 0
        for piece in pieces:
            alone = torch.tensor([piece])
            expected = apart(alone, use_cache=False).logits[0]
            torch.testing.assert_close(logits[row, begin : begin + len(piece)], expected, atol=2e-5, rtol=1e-4)
            begin += len(piece)
            if len(piece) > 1:
                torch.nn.functional.cross_entropy(expected[:-1], alone[0, 1:], reduction="sum").backward()
    for (name, one), other in zip(together.named_parameters(), apart.parameters(), strict=True):
        assert one.grad is not None, name
        torch.testing.assert_close(
            one.grad, other.grad, atol=2e-4, rtol=1e-3, msg=lambda said, name=name: f"{name}: {said}"
        )


@pytest.mark.parametrize("made", [llama, neox, gpt2])
def test_the_proof_passes_what_is_separate(made: Callable[[str], Any]) -> None:
    moved = attention.prove_separate(made("sdpa"), collate, VOCABULARY, WIDTH, torch.device("cpu"), half=False)
    assert moved <= attention.SAME
    assert (
        attention.prove_separate(made("sdpa"), collate, VOCABULARY, WIDTH, torch.device("cpu"), half=True)
        <= attention.SAME
    )


def with_a_mask(rows: Packed) -> dict[str, Any]:
    return collate(rows) | {"attention_mask": torch.ones(len(rows.row_lengths), WIDTH, dtype=torch.long)}


def without_positions(rows: Packed) -> dict[str, Any]:
    return {name: value for name, value in collate(rows).items() if name != "position_ids"}


def with_running_positions(rows: Packed) -> dict[str, Any]:
    batch = collate(rows)
    return batch | {"position_ids": torch.arange(WIDTH).expand_as(batch["input_ids"])}


def with_a_boundary_lost(rows: Packed) -> dict[str, Any]:
    batch = collate(rows)
    positions = batch["position_ids"].clone()
    for row in positions:
        second = (row == 0).nonzero().flatten()[1:2]
        for begin in second.tolist():
            row[begin:] = torch.arange(begin, WIDTH)
    return batch | {"position_ids": positions}


@pytest.mark.parametrize("leaking", [with_a_mask, without_positions, with_running_positions, with_a_boundary_lost])
@pytest.mark.parametrize("made", [llama, neox, gpt2])
def test_a_collator_that_lets_documents_see_each_other_stops_the_run(
    made: Callable[[str], Any], leaking: Callable[[Packed], dict[str, Any]]
) -> None:
    with pytest.raises(TrainError, match="Documents see each other"):
        attention.prove_separate(made("sdpa"), leaking, VOCABULARY, WIDTH, torch.device("cpu"), half=False)


def test_a_kernel_told_wrong_boundaries_stops_the_run() -> None:
    def wrong(rows: Packed) -> dict[str, Any]:
        batch = collate(rows)
        limits = batch["cu_seq_lens_q"].clone()
        limits[1] = limits[2]
        return batch | {"cu_seq_lens_q": limits}

    model = of(llama, attention.VARLEN)
    assert attention.prove_separate(model, collate, VOCABULARY, WIDTH, torch.device("cpu"), half=False) == 0
    with pytest.raises(TrainError, match="Documents see each other"):
        attention.prove_separate(model, wrong, VOCABULARY, WIDTH, torch.device("cpu"), half=False)


def test_positions_that_do_not_begin_anew_are_found_even_when_nothing_leaks() -> None:
    """The neighbours change nothing here; the document alone tells. (In a rotary model a constant shift of positions is
    invisible by design, so this model looks its positions up.)
    """

    def shifted(rows: Packed) -> dict[str, Any]:
        batch = collate(rows)
        return batch | {"position_ids": torch.arange(WIDTH).expand_as(batch["input_ids"])}

    with pytest.raises(TrainError, match="when it stands alone"):
        attention.prove_separate(
            of(gpt2, attention.VARLEN), shifted, VOCABULARY, WIDTH, torch.device("cpu"), half=False
        )


def test_varlen_takes_older_and_newer_kernels_alike() -> None:
    """Torch 2.10 says is_causal and knows neither scale nor grouped heads; 2.12 and newer know all."""
    seen: list[dict[str, Any]] = []

    def older(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        cu_q: Tensor,
        cu_k: Tensor,
        max_q: int,
        max_k: int,
        is_causal: bool = False,
    ) -> Tensor:
        seen.append({"is_causal": is_causal, "heads": (query.shape[1], key.shape[1])})
        return loop(query, key, value, cu_q, cu_k, max_q, max_k, window_size=(-1, 0), scale=query.shape[-1] ** -0.5)

    def newer(
        query: Tensor, key: Tensor, value: Tensor, cu_q: Tensor, cu_k: Tensor, max_q: int, max_k: int, *, scale: float | None = None,
        window_size: tuple[int, int] = (-1, -1), enable_gqa: bool = False,
    ) -> Tensor:  # fmt: skip
        seen.append({"window": window_size, "heads": (query.shape[1], key.shape[1]), "gqa": enable_gqa})
        key, value = (t.repeat_interleave(query.shape[1] // t.shape[1], dim=1) for t in (key, value))
        return loop(query, key, value, cu_q, cu_k, max_q, max_k, window_size=window_size, scale=scale or 1.0)

    logits = []
    for kernel in (older, newer):
        attention.register_varlen(kernel)
        batch = collate(packed(documents()))
        inputs = {name: value for name, value in batch.items() if name not in {"labels", "token_sources"}}
        logits.append(llama(attention.VARLEN)(**inputs).logits)
    torch.testing.assert_close(logits[0], logits[1])
    assert seen[0] == {"is_causal": True, "heads": (4, 4)}
    assert seen[-1] == {"window": (-1, 0), "heads": (4, 2), "gqa": True}


def test_varlen_never_runs_without_boundaries() -> None:
    attention.register_varlen(loop)
    with pytest.raises(ValueError, match="takes cu_seq_lens_q"):
        llama(attention.VARLEN)(torch.zeros(1, WIDTH, dtype=torch.long))


def test_what_cannot_be_had_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainError, match="needs an NVIDIA GPU"):
        attention.choose("flash_attention_2", "cpu", half=True)
    monkeypatch.setattr(attention, "_has_flash", lambda: False)
    with pytest.raises(TrainError, match=r"flash-attn is not installed; pip install 'corpus-ja\[flash\]'"):
        attention.choose("flash_attention_2", "cuda", half=True)
    with pytest.raises(TrainError, match="cannot train on a CPU"):
        attention.choose("flex_attention", "cpu", half=False)
    with pytest.raises(TrainError, match="needs an NVIDIA GPU, bf16=true"):
        attention.choose("varlen", "cpu", half=False)
    monkeypatch.setattr(attention, "_has_flash", lambda: True)
    with pytest.raises(TrainError, match="bfloat16 or float16 alone"):
        attention.choose("flash_attention_2", "cuda", half=False)


@pytest.mark.parametrize(
    ("device", "half", "flash", "varlen", "expected"),
    [
        ("cuda", True, True, True, "flash_attention_2"),
        ("cuda", True, False, True, attention.VARLEN),
        ("cuda", True, False, False, "sdpa"),
        ("cuda", False, True, True, "sdpa"),
        ("cpu", True, True, True, "sdpa"),
    ],
)
def test_auto_takes_the_fastest_that_is_there(
    monkeypatch: pytest.MonkeyPatch, device: str, half: bool, flash: bool, varlen: bool, expected: str
) -> None:
    monkeypatch.setattr(attention, "_has_flash", lambda: flash)
    monkeypatch.setattr(attention, "_has_varlen", lambda: varlen)
    monkeypatch.setattr(attention, "register_varlen", lambda: None)
    assert attention.choose("auto", device, half)[0] == expected
