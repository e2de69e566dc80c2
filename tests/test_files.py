from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.files import (
    append_line,
    lies_in,
    make_folder,
    move_folder,
    open_regular,
    prune,
    remove_leftovers,
    write_atomic,
)

OLD, NEW = b"old" * 1000, b"new" * 2000

# Runs write_atomic in a process of its own that dies, as by `kill -9`, before or after its n-th call that
# reaches the disk; when there are not that many calls it finishes and prints "done".
DYING_WRITER = """
import os, sys
from perfusion_core import files

target, when, moment = sys.argv[1], int(sys.argv[2]), sys.argv[3]
calls = 0

def dying(real):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == when and moment == "before":
            os._exit(9)
        result = real(*arguments, **options)
        if calls == when and moment == "after":
            os._exit(9)
        return result
    return call

for name in ("open", "fdopen", "fsync", "replace", "close"):
    setattr(files.os, name, dying(getattr(os, name)))
files.write_atomic(target, b"new" * 2000)
print("done", flush=True)
"""


def test_it_writes_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    write_atomic(target, OLD)
    assert target.read_bytes() == OLD
    write_atomic(str(target), NEW)
    assert target.read_bytes() == NEW
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("existing", [True, False])
def test_killed_at_any_boundary_there_is_the_old_file_or_the_new_one(tmp_path: Path, existing: bool) -> None:
    writer = tmp_path / "writer.py"
    writer.write_text(DYING_WRITER)
    outcomes = []
    for when in range(1, 20):
        for moment in ("before", "after"):
            folder = tmp_path / f"{when}-{moment}"
            folder.mkdir()
            target = folder / "a.bin"
            if existing:
                target.write_bytes(OLD)
            process = run(writer, target, when, moment)
            content = target.read_bytes() if target.exists() else None
            assert content in ({OLD, NEW} if existing else {None, NEW})
            # nobody who lists the folder by its suffix sees a leftover
            assert {path.name for path in folder.glob("*.bin")} <= {"a.bin"}
            outcomes.append(content == NEW)
            if process.stdout.strip() == "done":
                assert content == NEW
                assert len(outcomes) >= 12, "too few boundaries were seen; is the file still synced?"
                assert False in outcomes
                assert remove_leftovers(folder) == 0
                return
            assert process.returncode == 9
            remove_leftovers(folder)
            assert {path.name for path in folder.iterdir()} <= {"a.bin"}
    pytest.fail("the writer never finished")


def run(writer: Path, target: Path, when: int, moment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(writer), str(target), str(when), moment],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


def test_random_kills_never_leave_a_torn_file(tmp_path: Path) -> None:
    program = (
        "import sys, itertools; from perfusion_core.files import write_atomic\n"
        "for k in itertools.count():\n"
        "    write_atomic(sys.argv[1], bytes([k % 256]) * 300_000)\n"
        "    print(k % 256, flush=True)\n"
    )
    target = tmp_path / "a.bin"
    chance = random.Random(5)
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(target)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        assert process.stdout is not None
        process.stdout.readline()  # it is writing by now
        time.sleep(chance.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        acknowledged = [int(line) for line in process.stdout.read().split()]
        process.wait()
        content = target.read_bytes()
        assert len(content) == 300_000
        assert len(set(content)) == 1, "two writes are mixed"
        if acknowledged:
            assert content[0] in (acknowledged[-1], (acknowledged[-1] + 1) % 256)


@pytest.mark.parametrize(
    ("call", "number", "words"),
    [
        ("fsync", errno.ENOSPC, "is full"),
        ("fsync", errno.EDQUOT, "is full"),
        ("open", errno.EROFS, "may not be written"),
        ("open", errno.EACCES, "may not be written"),
        ("replace", errno.EIO, "Choose another"),
    ],
)
def test_a_failing_disk_is_explained_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, words: str
) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(OLD)

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"perfusion_core.files.os.{call}", fail)
    with pytest.raises(PerfusionError, match=f"“a.bin” was not saved.*{words}"):
        write_atomic(target, NEW)
    monkeypatch.undo()
    assert target.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PerfusionError, match=r"no folder .*gone"):
        write_atomic(tmp_path / "gone" / "a.bin", NEW)


def test_a_folder_in_the_files_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(PerfusionError, match="was not saved"):
        write_atomic(tmp_path / "a.bin", NEW)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.bin"]


def test_a_folder_that_cannot_be_synced_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def no_folders(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr("perfusion_core.files.os.fsync", no_folders)
    write_atomic(tmp_path / "a.bin", NEW)
    assert (tmp_path / "a.bin").read_bytes() == NEW


def test_the_file_gets_the_users_usual_permissions(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.bin", NEW)
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.bin").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_leftovers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".perfusion-0123.tmp").touch()
    (tmp_path / "mine.tmp").touch()
    assert remove_leftovers(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.tmp"]


def test_a_plain_file_is_opened_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"content")
    with open_regular(tmp_path / "plain") as file:
        assert file.read() == b"content"
    with pytest.raises(OSError, match="not a plain file"):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nowhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in its folders")
def test_a_pipe_put_in_a_files_place_at_the_last_moment_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain").write_bytes(b"content")
    plain = os.stat(tmp_path / "plain")
    monkeypatch.setattr(os, "stat", lambda *_a, **_k: plain)
    with pytest.raises(OSError, match="not a plain file"):
        open_regular(tmp_path / "pipe")


def test_a_private_file_and_folder_are_the_users_alone_and_existing_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    before = (tmp_path / "shared").stat().st_mode
    folder = make_folder(tmp_path / "shared" / "a" / "b", private=True)
    write_atomic(folder / "a.bin", NEW, private=True)
    append_line(folder / "a.log", b"1")
    assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert (tmp_path / "shared").stat().st_mode == before


def test_a_folder_that_cannot_be_made_says_why_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300), Path("nul\0")):
        with pytest.raises(PerfusionError, match=r"cannot be made \(.+\). Take another."):
            make_folder(wrong, "Take another.")


def test_what_lies_in_a_folder_is_found_through_links_and_need_not_be_there(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "link").symlink_to(home)
    inside = (home, home / "outputs" / "new", tmp_path / "link" / "outputs")
    outside = (tmp_path, tmp_path / "home-2", home / ".." / "outputs", home / "half\0path")
    assert [lies_in(path, home) for path in (*inside, *outside)] == [True] * 3 + [False] * 4


def test_a_line_cut_off_does_not_swallow_the_next(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    append_line(log, b"1")
    with log.open("ab") as file:
        file.write(b"cut")
    append_line(log, b"2")
    append_line(log, b"3")
    assert log.read_bytes() == b"1\ncut\n2\n3\n"
    with pytest.raises(PerfusionError, match="no folder"):
        append_line(tmp_path / "gone" / "a.log", b"1")


def test_a_folder_moves_whole_or_the_refusal_says_why(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").touch()
    move_folder(tmp_path / "a", tmp_path / "b")
    (tmp_path / "full" / "y").mkdir(parents=True)
    with pytest.raises(PerfusionError, match=r"cannot be moved to .*full"):
        move_folder(tmp_path / "b", tmp_path / "full")
    assert (tmp_path / "b" / "x").exists()


def test_only_old_files_beyond_the_newest_are_pruned_and_lost_races_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age in range(5):
        (tmp_path / f"{age}.png").touch()
        os.utime(tmp_path / f"{age}.png", (1e9 - age, 1e9 - age))
    prune(tmp_path, "*.png", keep=3)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["0", "1", "2"]
    prune(tmp_path, "*.png", older_than=time.time())  # none is that old
    assert len(list(tmp_path.iterdir())) == 3

    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", gone)
        prune(tmp_path, "*.png")
    assert len(list(tmp_path.iterdir())) == 3
