"""What a pool on Ray sends where, without Ray."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.fanout import ray_pool
from perfusion_core.fanout.ray_pool import RayPool
from perfusion_core.fanout.tasks import Died
from tests.fanout.small_work import SmallSetup


class FakeRay:
    """Ray's calls as the pool makes them; remembers what was put and what actors were made from."""

    exceptions = SimpleNamespace(RayError=OSError)

    problem = ""  # what asking an actor ends in

    def __init__(self, **resources: float) -> None:
        self.resources, self.puts, self.made = resources, list[Any](), list[tuple[dict[str, Any], Any]]()

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def put(self, value: object) -> str:
        self.puts.append(value)
        return f"reference {len(self.puts)}"

    def remote(self, _: type) -> Any:
        return SimpleNamespace(options=lambda **options: SimpleNamespace(remote=self._maker(options)))

    def _maker(self, options: dict[str, Any]) -> Any:
        def make(given: object) -> Any:
            self.made.append((options, given))
            return SimpleNamespace(poll=SimpleNamespace(remote=lambda _: object()))

        return make

    def wait(self, refs: list[object], **_: Any) -> tuple[list[object], list[object]]:
        return refs[:1], []

    def get(self, _: object) -> Any:
        raise self.exceptions.RayError(self.problem)

    def kill(self, actor: object, no_restart: bool) -> None:
        assert no_restart


def pool_on(fake: FakeRay, monkeypatch: pytest.MonkeyPatch, **options: Any) -> RayPool:
    monkeypatch.setattr(ray_pool, "_connected", lambda address, cores: fake)
    return RayPool("auto", **options)


def test_the_base_and_its_statistics_are_put_once_for_all_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay(CPU=8.0)
    pool, setup = pool_on(fake, monkeypatch), SmallSetup()
    pool.grow(setup, 5)
    pool.revive(2)
    assert fake.puts == [setup]
    assert [given for _, given in fake.made] == ["reference 1"] * 6


def test_actors_share_cards_as_asked_and_a_cluster_without_any_gives_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cards = FakeRay(CPU=64.0, GPU=4.0)
    pool = pool_on(cards, monkeypatch, share=0.5)
    assert pool.most_workers() == 8
    pool.grow(SmallSetup(), 1)
    options, _ = cards.made[0]
    assert (options["num_gpus"], options["num_cpus"]) == (0.5, 1)
    assert pool_on(cards, monkeypatch, cpu_only=True, threads=4).most_workers() == 16
    assert pool_on(FakeRay(CPU=6.0), monkeypatch, share=0.5, threads=2).most_workers() == 3


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        ("The actor died unexpectedly.\n\tclass_name: Actor", "The actor died unexpectedly."),
        (
            "The actor died because of an error raised in its creation task, \x1b[36mray::Actor()\x1b[39m\n"
            "traceback: Traceback (most recent call last):\n"
            "ModuleNotFoundError: No module named 'perfusion_core'\n",
            "ModuleNotFoundError: No module named 'perfusion_core'; every machine of the cluster needs this "
            "program, see docs/fanout.md",
        ),
        (
            "The actor died because of an error raised in its creation task, ...\nMemoryError: no room",
            "MemoryError: no room",
        ),
    ],
)
def test_why_an_actor_is_gone_is_said(monkeypatch: pytest.MonkeyPatch, problem: str, reason: str) -> None:
    fake = FakeRay(CPU=1.0)
    fake.problem = problem
    pool = pool_on(fake, monkeypatch)
    pool.grow(SmallSetup(), 1)
    assert pool.wait(1.0) == [(0, Died(reason))]


REFUSED = "Initialization failure from server:\nTraceback (most recent call last):\nError: Proxy failed"


def joined(times: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Connects to a cluster that takes a client in at the try after `times`; gives the addresses tried."""
    tried = list[str]()

    def init(address: str, **_: Any) -> None:
        tried.append(address)
        if len(tried) <= times:
            raise ConnectionAbortedError(REFUSED)

    fake = ModuleType("ray")
    fake.init = init  # type: ignore[attr-defined]
    fake.exceptions = ModuleType("ray.exceptions")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "ray.exceptions", fake.exceptions)
    monkeypatch.setattr(ray_pool, "_require_listener", lambda address: None)
    ray_pool._connected("ray://host:1", None)
    return tried


def test_a_busy_cluster_is_asked_again_to_take_a_client_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert joined(0, monkeypatch) == ["ray://host:1"]
    assert joined(ray_pool.TRIES - 1, monkeypatch) == ["ray://host:1"] * ray_pool.TRIES


def test_a_cluster_that_takes_no_client_in_is_not_called_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PerfusionError, match=r"did not take this program in, 3 times \(.*Proxy failed\)"):
        joined(ray_pool.TRIES, monkeypatch)
