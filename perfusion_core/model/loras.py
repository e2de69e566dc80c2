"""LoRAs on a loaded base: put on, weighted, and taken off again so that the base is as before."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from diffusers.utils import logging as diffusers_logging
from safetensors import safe_open
from torch import nn

from perfusion_core.errors import LoraError, PerfusionError, first_line
from perfusion_core.model.device_memory import is_out_of_memory
from perfusion_core.model.lora_files import (
    MOST_LORAS,
    ChosenLora,
    LoraInForce,
    adapter_name,
    check_weight,
    content_hash,
    require_lora,
)
from perfusion_core.model.quiet import quiet_libraries

if TYPE_CHECKING:
    from pathlib import Path

    from perfusion_core.model.base import Base

_METADATA = "lora_adapter_metadata"  # where diffusers writes the strength of what it saves


def use_loras(base: Base, chosen: Sequence[ChosenLora]) -> None:
    """Have exactly these LoRAs act on `base`, in this order; none takes off all that it put on.

    Those that are on already are kept, with the weight asked for now. Raises `LoraError`, naming the file
    and what to do, for one that cannot be used; `base` is then as it was before.
    """
    wanted = [one for one in chosen if check_weight(one.weight, one.file.name) != 0]
    if not wanted and not base.loras:
        return
    if len(wanted) > MOST_LORAS:
        raise LoraError(f"{len(wanted)} LoRAs are chosen; at most {MOST_LORAS} go on a base. Leave some out.")
    layers = [require_lora(one.file) for one in wanted]
    digests = [content_hash(one.file) for one in wanted]
    for k, digest in enumerate(digests):
        if digest in digests[:k]:
            raise LoraError(f"{wanted[k].file.name} is given twice. Leave one out.")
    if wanted:
        _require_taker(base, wanted[0].file.name)
    held = {lora.content_hash: lora.adapter for lora in base.loras}
    in_force: list[LoraInForce] = []
    added: list[str] = []
    try:
        for one, digest, count in zip(wanted, digests, layers, strict=True):
            adapter = held.get(digest)
            if adapter is None:
                adapter = adapter_name(one.file, _adapters_on(base))
                added.append(adapter)
                _put_on(base, one.file, adapter, count)
            in_force.append(LoraInForce(one.file, digest, one.weight, adapter))
    except BaseException:
        _take_off(base, added)
        _weigh(base, base.loras)
        raise
    kept = {lora.adapter for lora in in_force}
    _take_off(base, [adapter for adapter in held.values() if adapter not in kept])
    _weigh(base, in_force)
    base.loras = tuple(in_force)


@contextmanager
def without_loras(parts: Iterable[nn.Module]) -> Iterator[None]:
    """These parts of a pipeline as if no LoRA were on them, whoever put it there; for the duration."""
    layers = [layer for part in parts for layer in _layers(part) if not layer.disable_adapters]
    learned = [(weight, weight.requires_grad) for layer in layers for weight in layer.parameters()]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
        for weight, requires_grad in learned:  # PEFT has those in force learn again
            weight.requires_grad_(requires_grad)


def _require_taker(base: Base, name: str) -> None:
    if not hasattr(base.pipeline, "load_lora_weights"):
        raise LoraError(
            f"{name} cannot be used: {base.family.title} takes no LoRA in diffusers. Leave it out, or choose "
            "a Stable Diffusion, SDXL or Sana base."
        )
    if importlib.util.find_spec("peft") is None:
        raise LoraError(f"{name} cannot be used without the package peft. Get it with `pip install peft`.")


def _put_on(base: Base, file: Path, adapter: str, layers: int) -> None:
    """Load one file of so many layers as `adapter`. Raises `LoraError`, and may leave some of it there."""
    pipe: Any = base.pipeline
    other = f"It was made for another kind of base. Use a LoRA for {base.family.title}, or another base."
    try:
        with quiet_libraries(), _conversions_kept(base), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            diffusers_logging.set_verbosity(logging.CRITICAL)  # it logs what it raises
            pipe.load_lora_weights(_tensors(file), adapter_name=adapter)
    except PerfusionError:
        raise
    except Exception as error:  # what does not fit fails in a dozen ways in diffusers, PEFT and torch
        if is_out_of_memory(error):
            raise LoraError(
                f"{file.name} does not fit in memory beside {base.id}. Close other programs, or leave it out."
            ) from error
        widths = "size mismatch" in str(error)
        reason = "its layers have other widths" if widths else first_line(error)
        raise LoraError(f"{file.name} does not fit {base.id} ({reason}). {other}") from error
    placed = [held for part in _parts(base) for layer in _layers(part) if (held := _of(layer, adapter))]
    if len(placed) < layers:
        raise LoraError(
            f"{file.name} does not fit {base.id}: that has {len(placed)} of its {layers} layers. {other}"
        )
    for like, weight in (pair for held in placed for pair in held):
        if weight.is_meta or not weight.isfinite().all():
            raise LoraError(f"{file.name} is damaged: weights are missing or no numbers. Download it again.")
        weight.data = weight.data.to(like.device, like.dtype)


@contextmanager
def _conversions_kept(base: Base) -> Iterator[None]:
    """Transformers notes on a model how its last file was converted; a LoRA's is not the model's."""
    name = "_weight_conversions"
    before = [(part, part.__dict__[name]) for part in _parts(base) if name in part.__dict__]
    try:
        yield
    finally:
        for part in _parts(base):
            part.__dict__.pop(name, None)
        for part, conversions in before:
            part.__dict__[name] = conversions


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    """A file's tensors, with the strength that diffusers writes beside them multiplied in.

    Given a file, diffusers would hand its whole metadata to PEFT, whose options make more than a LoRA of it.
    """
    with safe_open(file, framework="pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        written = (opened.metadata() or {}).get(_METADATA)
    try:
        said = json.loads(written) if written else {}
    except (ValueError, RecursionError):
        said = {}
    if isinstance(said, dict):
        for name, tensor in tensors.items():
            part, _, module = name.partition(".")
            if ".lora_B." in module:
                tensors[name] = tensor * _strength(
                    said, part, module.partition(".lora_B.")[0], tensor.shape[-1]
                )
    return tensors


def _strength(said: Mapping[str, Any], part: str, module: str, rank: int) -> float:
    """What PEFT multiplies a layer's output with: 1 where nothing is said."""
    alpha = said.get(f"{part}.lora_alpha")
    patterns = said.get(f"{part}.alpha_pattern")
    for pattern, own in patterns.items() if isinstance(patterns, dict) else ():
        if f".{module}".endswith(f".{str(pattern).lstrip('^')}"):
            alpha = own
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        return 1.0
    return alpha / (math.sqrt(rank) if said.get(f"{part}.use_rslora") is True else rank)


def _take_off(base: Base, adapters: Sequence[str]) -> None:
    """Remove adapters, also half loaded ones; where no other is left, the layers are the very ones before."""
    for part in _parts(base) if adapters else ():
        found: list[tuple[str, Any]] = [(path, one) for path, one in part.named_modules() if _is_layer(one)]
        for path, layer in found:
            layer.set_adapter([name for name in layer.active_adapters if name not in adapters])
            for adapter in adapters:
                if _of(layer, adapter):
                    layer.delete_adapter(adapter)
            if not any(getattr(layer, names) for names in layer.adapter_layer_names):
                part.set_submodule(path, layer.get_base_layer())
        known = getattr(part, "peft_config", {})
        for adapter in adapters:
            known.pop(adapter, None)
        if not known:
            for name in ("peft_config", "_hf_peft_config_loaded"):
                part.__dict__.pop(name, None)


def _weigh(base: Base, loras: Sequence[LoraInForce]) -> None:
    """Have these act and no others, where there are any."""
    for part in _parts(base) if loras else ():
        for layer in _layers(part):
            layer.set_adapter([lora.adapter for lora in loras])
            for lora in loras:
                layer.set_scale(lora.adapter, lora.weight)
            layer.eval().requires_grad_(False)


def _parts(base: Base) -> list[nn.Module]:
    pipe: Any = base.pipeline
    named = (getattr(pipe, name, None) for name in getattr(pipe, "_lora_loadable_modules", ()))
    return [part for part in named if isinstance(part, nn.Module)]


def _adapters_on(base: Base) -> set[str]:
    return {name for part in _parts(base) for name in getattr(part, "peft_config", {})}


def _layers(part: nn.Module) -> list[Any]:
    return [module for module in part.modules() if _is_layer(module)]


def _is_layer(module: nn.Module) -> bool:
    return hasattr(module, "merged_adapters") and hasattr(module, "adapter_layer_names")


def _of(layer: Any, adapter: str) -> list[tuple[torch.Tensor, nn.Parameter]]:
    """An adapter's weights in a layer, each with the layer's own weight; empty where it has none there."""
    own = layer.get_base_layer().weight
    found: list[tuple[torch.Tensor, nn.Parameter]] = []
    for names in layer.adapter_layer_names:
        held = getattr(layer, names)
        if adapter in held:
            one = held[adapter]
            found += [(own, weight) for weight in (one.parameters() if isinstance(one, nn.Module) else [one])]
    return found
