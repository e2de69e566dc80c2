"""How many workers `--workers auto` takes, and on what."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest
import torch

from perfusion_core.fanout import machine_devices
from perfusion_core.fanout.machine_devices import LocalPlan, local_plan


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Eight cores, 32 GiB and no other device."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(machine_devices, "usable_cores", lambda: 8)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=32 * 2**30))
    return monkeypatch


def test_a_cpu_gets_a_worker_for_each_core(machine: pytest.MonkeyPatch) -> None:
    assert local_plan(None, "auto") == LocalPlan(workers=8, devices=0, threads=1)
    assert local_plan(None, "auto", threads=4) == LocalPlan(workers=2, devices=0, threads=4)


def test_a_large_base_gets_only_as_many_as_fit_in_memory(machine: pytest.MonkeyPatch) -> None:
    assert local_plan(None, "cpu", weights_gib=4.0) == LocalPlan(workers=3, devices=0, threads=2)
    assert local_plan(None, "cpu", weights_gib=400.0) == LocalPlan(workers=1, devices=0, threads=8)


def test_a_number_of_workers_divides_the_cores(machine: pytest.MonkeyPatch) -> None:
    assert local_plan(3, "cpu") == LocalPlan(workers=3, devices=0, threads=2)


def test_every_graphics_card_gets_one_worker_or_as_many_as_share_it(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "device_count", lambda: 4)
    assert local_plan(None, "auto") == LocalPlan(workers=4, devices=4, threads=None)
    assert local_plan(None, "auto", share=0.5) == LocalPlan(workers=8, devices=4, threads=None)
    assert local_plan(None, "cuda:1") == LocalPlan(workers=1, devices=0, threads=None)
