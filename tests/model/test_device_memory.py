"""What is free on a device, and which errors say that nothing is."""

from __future__ import annotations

import pytest
import torch

from perfusion_core.model.device_memory import card_gib, free_gib, is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.0 GB)"),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        ),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
    ],
)
def test_every_way_of_running_out_of_memory_is_known(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory."), KeyError()])
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_what_torch_keeps_for_later_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (3 * 2**30, 24 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 6 * 2**30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 2 * 2**30)
    assert free_gib(torch.device("cuda")) == 7.0


def test_apple_gpus_and_main_memory_are_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12 * 2**30)
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: 4 * 2**30)
    assert free_gib(torch.device("mps")) == 8.0
    assert free_gib(torch.device("cpu")) > 0


def test_only_a_graphics_card_has_a_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (3 * 2**30, 24 * 2**30))
    assert card_gib(torch.device("cuda")) == 24.0
    assert card_gib(torch.device("cpu")) is None
    assert card_gib(torch.device("mps")) is None
