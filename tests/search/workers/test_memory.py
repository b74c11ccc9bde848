"""How many processes the kernel has ended for want of memory, from files as it writes them."""

from __future__ import annotations

from pathlib import Path

from accelzoo.search.workers._memory import oom_kills

V2 = "low 0\nhigh 0\nmax 12\noom 4\noom_kill 3\noom_group_kill 0\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_version_2(tmp_path: Path) -> None:
    own = written(tmp_path / "own", "0::/user.slice/job\n")
    written(tmp_path / "user.slice" / "job" / "memory.events", V2)
    assert oom_kills(tmp_path, own) == 3


def test_version_1_beside_an_empty_version_2(tmp_path: Path) -> None:
    own = written(tmp_path / "own", "9:name=systemd:/\n4:cpu,memory:/job\n0::/\n")
    written(tmp_path / "memory" / "job" / "memory.oom_control", V1)
    assert oom_kills(tmp_path, own) == 5


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    own = written(tmp_path / "own", "0::/docker/0123\n")
    written(tmp_path / "memory.events", V2)
    assert oom_kills(tmp_path, own) == 3


def test_unknown_where_nothing_counts(tmp_path: Path) -> None:
    assert oom_kills(tmp_path, tmp_path / "absent") is None
    assert oom_kills(tmp_path, written(tmp_path / "own", "0::/\n")) is None
