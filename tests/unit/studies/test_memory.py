"""What memory is free, as a system of files shows it."""

from pathlib import Path

from truelift.studies.memory import memory_free

GIB = 2**30
V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"


def system(root: Path, group: str, **files: str) -> Path:
    """A root folder with 8 GiB available and a process in this control group."""
    written = {"proc/meminfo": "MemTotal: 99999999 kB\nMemAvailable: 8388608 kB\n", "proc/self/cgroup": group} | files
    for name, text in written.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def second(folder: str, limit: int | str, used: int, files: int = 0) -> dict[str, str]:
    return {
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.current": f"{used}\n",
        f"{folder}/memory.stat": f"anon 5\ninactive_file {files}\nactive_file 0\n",
    }


def test_what_the_machine_has_where_no_group_says_less(tmp_path: Path) -> None:
    assert memory_free(system(tmp_path, "0::/a\n", **second(f"{V2}/a", "max", GIB))) == 8 * GIB


def test_nothing_is_known_where_linux_tells_nothing(tmp_path: Path) -> None:
    assert memory_free(tmp_path) is None


def test_the_group_s_limit_less_what_it_cannot_give_back(tmp_path: Path) -> None:
    assert memory_free(system(tmp_path, "0::/a\n", **second(f"{V2}/a", 4 * GIB, 3 * GIB, 2 * GIB))) == 3 * GIB


def test_a_group_above_may_leave_less(tmp_path: Path) -> None:
    files = second(f"{V2}/a/b", "max", GIB) | second(f"{V2}/a", 2 * GIB, GIB)
    assert memory_free(system(tmp_path, "0::/a/b\n", **files)) == GIB


def test_in_a_container_the_mount_is_the_group(tmp_path: Path) -> None:
    assert memory_free(system(tmp_path, "0::/docker/123\n", **second(V2, 3 * GIB, GIB))) == 2 * GIB


def test_a_limit_that_is_passed_leaves_nothing(tmp_path: Path) -> None:
    assert memory_free(system(tmp_path, "0::/a\n", **second(f"{V2}/a", GIB, 2 * GIB))) == 0


def test_control_groups_of_version_1(tmp_path: Path) -> None:
    files = {
        f"{V1}/a/memory.limit_in_bytes": f"{2 * GIB}\n",
        f"{V1}/a/memory.usage_in_bytes": f"{GIB}\n",
        f"{V1}/a/memory.stat": "cache 7\ntotal_inactive_file 0\n",
    }
    assert memory_free(system(tmp_path, "5:devices:/x\n4:memory:/a\n0::/\n", **files)) == GIB
