"""On a Ray that was started apart, on the loopback address: `--ray auto` and `--ray ray://HOST:PORT`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from perfusion_core.concept import load_concept
from tests.fanout.concepts import log_of, make_photos, same, taught_alone, wait_for, write_lines

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not (find_spec("ray") and find_spec("grpc")),
    reason="Ray and its client are an extra: requirements-ray.txt",
)


def free_ports(count: int) -> list[int]:
    """Ports that are free now, outside of those that Ray gives to its workers (10002 to 19999)."""
    found = list[int]()
    for port in range(20_000 + os.getpid() % 5_000, 65_000):
        with closing(socket.socket()) as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            break
    return found


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """A cluster of one core. Gives its address and that for clients."""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # it listens on 127.0.0.1 alone
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    own, clients = free_ports(2)
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: sockets lie in it
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=1",
        "--node-ip-address=127.0.0.1", f"--port={own}", f"--ray-client-server-port={clients}",
        "--include-dashboard=false", f"--object-store-memory={256 * 2**20}", f"--temp-dir={folder}",
    ]  # fmt: skip
    head = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for port in (own, clients):
            wait_for(lambda port=port: answers(port), head)
        yield f"127.0.0.1:{own}", f"ray://127.0.0.1:{clients}"
    finally:
        started = psutil.Process(head.pid).children(recursive=True) if head.poll() is None else []
        head.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            head.wait(60)
        for process in [*started, head]:
            with suppress(psutil.Error):
                process.kill()
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_cluster_is_joined_by_itself_and_as_a_client(
    tmp_path: Path, tiny_folder: Path, cluster: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, client = cluster
    monkeypatch.setenv("PERFUSION_HOME", str(tmp_path / "home"))
    make_photos(tmp_path, ("ada",))
    manifest = write_lines(tmp_path / "m.jsonl", ("ada",))
    alone = taught_alone(tiny_folder, tmp_path, "ada", tmp_path / "alone", seed=0)
    for given, own_address in (("auto", address), (client, None)):
        out = tmp_path / f"out-{'client' if own_address is None else 'auto'}"
        command = ["teach-all", str(manifest), "--ray", given, "--threads", "1", "--base", str(tiny_folder)]
        command += ["--device", "cpu", "--out", str(out)]
        env = {**os.environ, **({"RAY_ADDRESS": own_address} if own_address else {})}
        done = subprocess.run(
            [sys.executable, "app.py", *command],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert [event["event"] for event in log_of(out)].count("done") == 1
        assert same(load_concept(out / "concepts/ada.safetensors"), alone), given
