"""Workers as actors of a Ray cluster. Ray is optional: `pip install 'perfusion-studio[ray]'`.

An actor runs the same loop as a local worker, in a thread, and is asked for its messages by long polls. So
the driver has one call under way for each actor, however many steps they do, and the same code serves a
cluster's own driver and Ray Client (ray://), which knows no streams. Actors are never restarted by Ray: the
driver knows which tasks were lost, and hands them to new actors with their checkpoints.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from perfusion_core.errors import PerfusionError, first_line
from perfusion_core.fanout.machine_devices import usable_cores
from perfusion_core.fanout.tasks import Died, Message, Setup, Task
from perfusion_core.fanout.worker_loop import serve

OBJECT_STORE = 512 * 2**20  # bytes: of a local cluster, for the photos and checkpoints on their way
CONNECT = 10.0  # seconds
TRIES = 3  # of a client: a cluster that is busy takes too long to start the process that serves it
POLL = 5.0  # seconds that an actor waits for something to say
HOW = "Install it with: pip install 'perfusion-studio[ray]' (or -r requirements-ray.txt)."


class Actor:
    """One worker, as Ray makes it: tasks come in through `submit`, messages go out through `poll`."""

    def __init__(self, setup: Setup) -> None:
        self._tasks: queue.SimpleQueue[Sequence[Task] | None] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=self._serve, args=(setup,), daemon=True).start()

    def submit(self, tasks: Sequence[Task]) -> None:
        self._tasks.put(tasks)

    def poll(self, seconds: float) -> list[Message]:
        """What was said since the last poll; waits up to `seconds` for the first message."""
        heard: list[Message] = []
        with suppress(queue.Empty):
            heard.append(self._messages.get(timeout=seconds))
            while True:
                heard.append(self._messages.get_nowait())
        return heard

    def _serve(self, setup: Setup) -> None:
        try:
            serve(setup, self._tasks.get, self._messages.put)
        except BaseException as error:  # what kills a local worker's process must not leave this one silent
            self._messages.put(Died(f"{type(error).__name__}: {first_line(error)}"))


class RayPool:
    """A pool on the cluster at `address`: "auto" is the one that this machine belongs to, "local" a cluster
    of this process alone (with `cores`, None for all that there are), anything else an address.

    Each actor takes `share` of a graphics card where the cluster has any (unless `cpu_only`), and `threads`
    CPU cores. Raises `PerfusionError` when Ray is not installed or the cluster cannot be reached.
    """

    def __init__(
        self,
        address: str,
        *,
        share: float = 1.0,
        threads: int | None = None,
        cpu_only: bool = False,
        cores: int | None = None,
    ) -> None:
        self._ray = _connected(address, cores)
        resources: dict[str, float] = self._ray.cluster_resources()
        self._cards = 0.0 if cpu_only else resources.get("GPU", 0.0)
        self._cores = resources.get("CPU", 1.0)
        self.threads = threads or (None if self._cards else 1)
        self._share = share if self._cards else 0.0
        self._actors: dict[int, Any] = {}
        self._polls: dict[Any, int] = {}
        self._setup: Any = None
        self._count = 0

    def most_workers(self) -> int:
        """How many actors the cluster has room for."""
        room = self._cards / self._share if self._cards else self._cores / (self.threads or 1)
        return max(1, int(room))

    def grow(self, setup: Setup, count: int) -> None:
        self._setup = self._ray.put(setup)  # once, for all actors: with it the statistics of the base
        for worker in range(self._count, self._count + count):
            self._start(worker)
        self._count += count

    def submit(self, worker: int, tasks: Sequence[Task]) -> None:
        if worker in self._actors:
            self._actors[worker].submit.remote(tasks)  # a dead actor is noticed by its poll

    def wait(self, seconds: float) -> Sequence[tuple[int, Message]]:
        refs = list(self._polls)
        ready, waiting = self._ray.wait(refs, num_returns=1, timeout=seconds)
        if ready and waiting:  # and whatever else is there by now
            more, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
            ready += more
        heard: list[tuple[int, Message]] = []
        for ref in ready:
            worker = self._polls.pop(ref)
            try:
                messages = self._ray.get(ref)
            except self._ray.exceptions.RayError as error:
                self.retire(worker)
                heard.append((worker, Died(_reason(error))))
                continue
            heard += [(worker, message) for message in messages]
            self._ask(worker)
        return heard

    def revive(self, worker: int) -> None:
        self.retire(worker)
        self._start(worker)

    def retire(self, worker: int) -> None:
        actor = self._actors.pop(worker, None)
        self._polls = {ref: other for ref, other in self._polls.items() if other != worker}
        if actor is not None:
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(actor, no_restart=True)

    def close(self) -> None:
        for worker in list(self._actors):
            self.retire(worker)
        self._ray.shutdown()

    def _start(self, worker: int) -> None:
        cores = self.threads or 1
        # Two calls at a time: tasks may come while the actor waits for something to say.
        options: dict[str, Any] = {"max_restarts": 0, "max_concurrency": 2}
        remote = self._ray.remote(Actor).options(num_cpus=cores, num_gpus=self._share, **options)
        self._actors[worker] = remote.remote(self._setup)
        self._ask(worker)

    def _ask(self, worker: int) -> None:
        self._polls[self._actors[worker].poll.remote(POLL)] = worker


def _reason(error: Exception) -> str:
    """Why an actor is gone. Of one that could not be made, Ray tells it after a traceback."""
    if "creation task" not in str(error).strip().partition("\n")[0]:
        return first_line(error)
    last = _last_line(error)
    if last.startswith("ModuleNotFoundError"):
        last += "; every machine of the cluster needs this program, see docs/fanout.md"
    return last


def _last_line(error: Exception) -> str:
    """What stands below a traceback that came as text."""
    lines = str(error).strip().splitlines()
    return first_line(RuntimeError(lines[-1])) if lines else first_line(error)


def _has_token() -> bool:
    """Whether Ray would find the token of a cluster here."""
    given = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return given or (Path.home() / ".ray" / "auth_token").is_file()


def _require_listener(address: str) -> None:
    """Raise OSError where nothing listens at HOST:PORT: Ray itself would go on trying for ten minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT).close()


def _join(ray: Any, address: str, options: dict[str, Any]) -> None:
    """Join a cluster that was started apart. Raises what Ray does, of a client after several tries."""
    for _ in range(TRIES - 1):
        with suppress(ConnectionAbortedError):
            ray.init(address=address, **options)
            return
    ray.init(address=address, **options)


def _connected(address: str, cores: int | None) -> Any:
    """Ray, connected. A cluster of our own has no dashboard and answers on the loopback address alone."""
    if address == "local":
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # what makes Ray keep to 127.0.0.1
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    elif _has_token():
        # Clusters ask for a token by default, but where an address is given Ray sends it only if told to.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise PerfusionError(f"--ray needs Ray, which is not installed. {HOW}") from None
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "ignore_reinit_error": True}
    try:
        if address == "local":
            ray.init(
                address="local",  # also where this machine belongs to a cluster
                num_cpus=cores or usable_cores(),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
        else:
            _require_listener(address if address != "auto" else os.environ.get("RAY_ADDRESS", ""))
            _join(ray, address, quiet)
    except ImportError as error:  # of the client, which is an extra of Ray's own
        raise PerfusionError(f"{address[:100]} needs Ray's client ({first_line(error)}). {HOW}") from None
    except ConnectionAbortedError as error:
        raise PerfusionError(
            f"The Ray cluster at {address[:100]!r} did not take this program in, {TRIES} times "
            f"({_last_line(error)}). Try again when it has less to do, or look into its logs."
        ) from None
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        raise PerfusionError(
            f"There is no Ray cluster at {address[:100]!r} ({first_line(error)}). Start one with `ray start "
            "--head`, give its address, or take this machine alone with --ray local."
        ) from None
    return ray
