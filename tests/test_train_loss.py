"""The loss by slices is the loss, token by token, with its gradient."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_train_attention import VOCABULARY, WIDTH, collate, documents, gpt2, llama, neox, packed
from train import loss
from train.collate import IGNORED


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@settings(deadline=None, max_examples=40)
@given(
    tokens=st.integers(1, 40), width=st.integers(1, 9), entries=st.integers(2, 30), with_bias=st.booleans(), a_slice=st.integers(1, 50), seed=st.integers(0, 10**6)
)  # fmt: skip
def test_slices_give_pytorchs_losses_and_gradients(
    tokens: int, width: int, entries: int, with_bias: bool, a_slice: int, seed: int
) -> None:
    torch.manual_seed(seed)
    hidden, weight, bias = torch.randn(tokens, width), torch.randn(entries, width), torch.randn(entries)
    targets = torch.randint(0, entries, (tokens,))
    targets[torch.rand(tokens) < 0.3] = IGNORED
    sides = []
    for sliced in (True, False):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        b = bias.clone().requires_grad_() if with_bias else None
        if sliced:
            before, loss.SLICE = loss.SLICE, a_slice
            try:
                total, each = loss.sliced_cross_entropy(h, w, b, targets)
            finally:
                loss.SLICE = before
        else:
            each = F.cross_entropy(F.linear(h, w, b), targets, ignore_index=IGNORED, reduction="none")
            total = each.sum()
        (total * 0.37).backward()
        sides.append([each.detach(), h.grad, w.grad, *([b.grad] if b is not None else [])])
    for ours, theirs in zip(*sides, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def batch() -> dict[str, Any]:
    return collate(packed(documents()))


@pytest.mark.parametrize("made", [llama, neox, gpt2])
@pytest.mark.parametrize("sliced", [True, False])
def test_a_model_in_use_gives_its_own_loss_and_each_tokens(made: Any, sliced: bool) -> None:
    inputs = {name: value for name, value in batch().items() if name != "token_sources"}
    own, ours = made(), made()
    expected = own(**inputs, use_cache=False)
    expected.loss.backward()
    assert loss.agrees(ours, batch(), half=False)
    loss.use(ours, sliced)
    given = ours(**inputs, use_cache=False)
    given.loss.backward()
    torch.testing.assert_close(given.loss, expected.loss, atol=1e-5, rtol=1e-5)
    for one, other in zip(ours.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-3)
    logits = expected.logits.detach()
    for row in range(2):
        for at in range(WIDTH):
            target = int(inputs["labels"][row, at])
            plain = 0.0 if target == IGNORED else float(-logits[row, at - 1].log_softmax(-1)[target])
            assert float(given.token_losses[row, at]) == pytest.approx(plain, abs=1e-4)


def test_without_labels_a_model_in_use_is_what_it_was() -> None:
    model, ids = llama(), torch.tensor([[5, 6, 7]])
    before = model(ids).logits
    written = model.generate(ids, max_new_tokens=4, do_sample=False, pad_token_id=0)
    loss.use(model, sliced=True)
    torch.testing.assert_close(model(ids).logits, before)
    assert torch.equal(model.generate(ids, max_new_tokens=4, do_sample=False, pad_token_id=0), written)


def test_the_step_counts_all_its_micro_batches_targets() -> None:
    model, inputs = llama(), {name: value for name, value in batch().items() if name != "token_sources"}
    loss.use(model, sliced=True)
    targets = int((inputs["labels"] != IGNORED).sum())
    mean, shared = model(**inputs).loss, model(**inputs, num_items_in_batch=torch.tensor(4 * targets)).loss
    torch.testing.assert_close(shared, mean / 4)


def test_a_model_that_scales_its_logits_is_found_out() -> None:
    class Scaled(torch.nn.Module):
        """Some families multiply or cap logits after the head."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = llama()
            self.base_model = self.inner.base_model

        def get_output_embeddings(self) -> Any:
            return self.inner.get_output_embeddings()

        def forward(self, labels: Any = None, **inputs: Any) -> Any:
            output = self.inner(**inputs)
            logits = output.logits * 3.0
            output.loss = F.cross_entropy(
                logits[:, :-1].reshape(-1, VOCABULARY), labels[:, 1:].reshape(-1), ignore_index=IGNORED
            )
            return output

    assert not loss.agrees(Scaled(), batch(), half=False)


def test_in_bfloat16_slices_stay_near_the_model() -> None:
    assert loss.agrees(llama(), batch(), half=True)


def test_logits_of_a_whole_batch_never_exist() -> None:
    """The largest tensor of a step is a slice of logits, not the batch's."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for value in out if isinstance(out, tuple) else (out,):
                if isinstance(value, torch.Tensor):
                    largest = max(largest, value.numel())
            return out

    hidden, weight = torch.randn(4096, 8, requires_grad=True), torch.randn(500, 8, requires_grad=True)
    with Watch():
        total, _ = loss.sliced_cross_entropy(hidden, weight, None, torch.randint(0, 500, (4096,)))
        total.backward()
    assert largest == loss.SLICE * 500
