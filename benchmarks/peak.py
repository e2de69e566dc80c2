"""The most memory that tensors take at one time, counted from shapes on the meta device."""

from __future__ import annotations

import weakref
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Peak(TorchDispatchMode):
    """`most`: bytes of all tensors made inside the block that were alive together, each memory once.

    Memory that operations use for themselves, and what the allocator loses, is not in it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if _is_tensor(leaf)}
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if _is_tensor(leaf):
                self._note(leaf.untyped_storage(), given)
        return made

    def _note(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key = storage._cdata
        if key in self._known or key in given:  # a view, or changed in place
            return
        self._known.add(key)
        self._now += storage.nbytes()
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


def _is_tensor(found: object) -> bool:
    return isinstance(found, torch.Tensor)


class _Fused(torch.autograd.Function):
    """Attention that keeps what fused kernels keep; only its shapes are right."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        output = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, output)
        return output


def _fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **_: Any) -> torch.Tensor:
    return _Fused.apply(query, key, value)  # type: ignore[no-any-return]


@contextmanager
def fused_attention() -> Generator[None]:
    """Attention counted as fused kernels do it: the weights of every pair are never in memory."""
    before = torch.nn.functional.scaled_dot_product_attention
    torch.nn.functional.scaled_dot_product_attention = _fused
    try:
        yield
    finally:
        torch.nn.functional.scaled_dot_product_attention = before
