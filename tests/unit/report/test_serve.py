"""The served page: this machine alone, one path alone, made anew when the records change."""

import http.client
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.unit.report.conftest import ACCURACY, make_study

from truelift.errors import InputError
from truelift.records import write_json
from truelift.report.serve import server


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, ThreadingHTTPServer]]:
    folder = make_study(tmp_path / "made", {name: values[:3] for name, values in ACCURACY.items()}, 3)
    with server(folder, 0) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield folder, running
        running.shutdown()
        thread.join()


def ask(running: ThreadingHTTPServer, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", running.server_address[1], timeout=60)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), answer.headers["X-Version"]
    connection.close()
    return found


def test_one_page_for_this_machine_alone(served: tuple[Path, ThreadingHTTPServer]) -> None:
    folder, running = served
    assert running.server_address[0] == "127.0.0.1"
    status, page, version = ask(running, "/")
    assert status == 200
    assert f'data-version="{version}"' in page
    assert "connect-src &#39;self&#39;" in page
    for path in (
        *("/study.json", "/../study.json", "//study.json", "/%2e%2e/study.json", "/runs/", "/?x", "/report.html", "*"),
        *(str(folder / "study.json"), f"file://{folder}/study.json", "http://127.0.0.1/study.json", "/\\study.json"),
    ):
        status, body, _ = ask(running, path)
        assert (status, body) == (404, "Not Found\n"), path
    for host in ("example.org", f"example.org:{running.server_address[1]}", "", "127.0.0.1.example.org"):
        assert ask(running, "/", Host=host)[0] == 403, host
    assert ask(running, "/", "POST")[0] == 501
    assert ask(running, "/", "HEAD")[1:] == ("", version)


def test_the_page_follows_the_records(served: tuple[Path, ThreadingHTTPServer]) -> None:
    folder, running = served
    _, before, first = ask(running, "/")
    assert ask(running, "/")[1:] == (before, first)
    write_json(folder / "runs/better/seed-0-00000000/result.json", {"metrics": {"test_accuracy": 77.7}})
    _, after, second = ask(running, "/")
    assert second != first
    assert re.search(r">77\.7\d*<", after)
    assert not re.search(r">77\.7\d*<", before)
    # In the middle of a change the last page stays.
    shutil.move(folder / "study.json", folder / "gone")
    assert ask(running, "/")[1:] == (after, second)


def test_what_cannot_be_served_is_told(tmp_path: Path, served: tuple[Path, ThreadingHTTPServer]) -> None:
    folder, running = served
    with pytest.raises(InputError, match=r"it has no study\.json"):
        server(tmp_path, 0)
    with pytest.raises(InputError, match="port must be at most 65535, got 70000"):
        server(folder, 70000)
    with pytest.raises(
        InputError, match=f"port must be one that is free on this machine, got {running.server_address[1]}"
    ):
        server(folder, running.server_address[1])
