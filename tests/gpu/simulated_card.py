"""A device called "card:0" that computes on the CPU and, as CUDA does, refuses tensors of another device.

It shows without a graphics card that nothing is left on the CPU on the way. How fast a card is, how much
memory it has and its half precision are not in it. `python -m tests.gpu.simulated_card sdxl` runs the checks
of `claims.py` on the tiny base of that name; a program of its own, since torch knows the device ever after.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# What CUDA takes from both devices: copies, and indices that lie on the CPU.
_MIXED = {"copy_", "_to_copy", "index", "index_put_", "index_put", "_index_put_impl_", "_unsafe_index"}


class OnCard(torch.Tensor):
    """A tensor on the card; `host` has its numbers."""

    host: torch.Tensor

    @staticmethod
    def __new__(cls, host: torch.Tensor) -> OnCard:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            host.shape,
            host.stride(),
            host.storage_offset(),
            dtype=host.dtype,
            device=torch.device("card:0"),
        )

    def __init__(self, host: torch.Tensor) -> None:
        self.host = host

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.host.__reduce_ex__(protocol)

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(_without_lists(index))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class Card(TorchDispatchMode):
    """While it lasts, "card:0" can be used in place of "cuda:0"."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = func._schema.name.removeprefix("aten::")
    if name == "_fused_sdp_choice":
        return 0  # attention step by step: torch has no kernel in one piece for this device
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = {id(tensor.host): tensor for tensor in tensors if isinstance(tensor, OnCard)}
    here = [tensor for tensor in tensors if not isinstance(tensor, OnCard)]
    if there and name not in _MIXED and any(tensor.ndim for tensor in here):
        raise RuntimeError(f"{name}: expected all tensors on one device, found CPU and card")
    result_there = bool(there) and name != "_local_scalar_dense"
    if kwargs.get("device") is not None:
        result_there = torch.device(kwargs["device"]).type == "card"
        if result_there and kwargs.get("generator") is not None:
            raise RuntimeError(f"{name}: a generator of the CPU for a tensor of the card")
        kwargs = {**kwargs, "device": torch.device("cpu")}
    args, kwargs = tree_map(lambda leaf: leaf.host if isinstance(leaf, OnCard) else leaf, (args, kwargs))
    if name == "view" and isinstance(args[1], list):  # of numbers that are not in one piece, too
        found = args[0].reshape(args[1])
    else:
        found = func(*args, **kwargs)

    def on_its_device(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        if id(leaf) in there:  # changed in place
            return there[id(leaf)]
        return OnCard(leaf) if result_there else leaf

    return tree_map(on_its_device, found)


def _without_lists(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(_without_lists, index))
    return torch.tensor(index) if isinstance(index, list) else index


class _Module(backend_registration._DummyBackendModule):
    """What torch asks a device's module for."""

    def is_available(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, _seed: int) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return []

    def get_rng_state(self, _device: Any = None) -> None:
        return None

    def set_rng_state(self, _state: Any, _device: Any = None) -> None:
        pass


def install() -> None:
    """Make "card" known to torch, for the rest of this program."""
    backend_registration._setup_privateuseone_for_python_backend("card", backend_module=_Module())
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    library: Any = torch
    made = torch.tensor

    def tensor(data: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        return made(data, **options) if device is None else made(data, **options).to(device)

    def new_tensor(self: torch.Tensor, data: Any) -> torch.Tensor:
        return made(data, dtype=self.dtype).to(self.device)

    library.tensor, library.Tensor.new_tensor = tensor, new_tensor  # torch's own pass the dispatch by


def _takes_both() -> bool:
    try:
        return bool(torch.ones(2) @ torch.ones(2, device="card:0"))
    except RuntimeError:
        return False


def main(kind: str) -> None:
    from perfusion_core.model.base import Base
    from tests.gpu import claims
    from tests.quick_recipe import WORD_AND_VALUES
    from tests.tiny_concept import random_concept
    from tests.tiny_families import tiny_family

    install()
    pipe = tiny_family(kind)
    with Card(), tempfile.TemporaryDirectory() as folder:
        base = Base(kind, pipe, device="card:0")
        assert {str(module.device) for module in (base.denoiser, base.vae, base.text_encoder)} == {"card:0"}
        assert not _takes_both()
        settings = {**WORD_AND_VALUES, "offset_rate": 0.1, "prior": 0.01, "batch_size": 2, "accumulation": 2}
        recipe = claims.recipe_for(base, **{**settings, "steps": 2, "neighbours": "superclass"})
        claims.is_taught(base, recipe, Path(folder, "taught"))
        claims.goes_on(base, recipe.changed(keys="trained"), Path(folder, "resumed"))
        concept, prompt = random_concept(base), "a photo of a <biscuit>"
        claims.every_gate_has_its_image(base, concept, prompt, claims.statistics(base))
    print(f"{kind}: nothing is left on the CPU")


if __name__ == "__main__":
    main(sys.argv[1])
