"""Files written whole, taken ports, and processes that end with their parent."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from closedloop.machine import why_taken, write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_whole(file, "one")
    with file.open(encoding="utf-8") as reader:
        write_whole(file, "zwölf")
        assert reader.read() == "one"
    assert file.read_text(encoding="utf-8") == "zwölf"
    assert list(tmp_path.iterdir()) == [file]


def test_a_secret_is_for_its_owner_alone_from_the_start(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    file.chmod(0o644)
    write_whole(file, b"new", mode=0o600)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    (folder / "content").write_text("kept")
    with pytest.raises(OSError, match="taken"):
        write_whole(folder, "new")
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "content").read_text() == "kept"


def test_a_port_is_taken_while_a_server_listens_and_free_afterwards() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "in use" in why_taken("127.0.0.1", port)
        with socket.create_connection(("127.0.0.1", port)) as client:
            server.accept()[0].close()
            client.recv(1)
    assert why_taken("127.0.0.1", port) == ""


def test_a_port_is_taken_at_every_address_by_a_server_of_all() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104  # the case
        assert "in use" in why_taken("127.0.0.1", server.getsockname()[1])


def test_an_address_of_another_machine_is_no_place_to_listen() -> None:
    assert "assign" in why_taken("192.0.2.1", 8080)


_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
"""
_CHILD = """
import time
from closedloop.machine import end_with_parent
end_with_parent({parent})
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's death")
def test_a_process_ends_with_its_parent() -> None:
    script = _PARENT.format(child=_CHILD.format(parent=""))
    child = int(_python(script).stdout)
    deadline = time.monotonic() + 20
    while _runs(child):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            pytest.fail("it outlived its parent")
        time.sleep(0.02)


def test_a_child_of_a_parent_that_is_gone_ends_at_once() -> None:
    done = _python(_CHILD.format(parent=-1))
    assert (done.returncode, done.stdout) == (1, b"")


def _python(script: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
