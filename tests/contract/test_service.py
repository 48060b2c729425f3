"""A role is held by one process of a home, and is free again however that process ends."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runner.contract import errors, service

HOLDER = (
    "import sys, time; from pathlib import Path; from runner.contract import service\n"
    "held = service.only_one(Path(sys.argv[1]), 'daemon')\n"
    "print('held', flush=True); sys.stdin.read()\n"
)


def test_the_role_is_taken_while_a_process_lives_and_free_after_kill_9(tmp_path: Path) -> None:
    assert not service.is_running(tmp_path, "daemon")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert service.is_running(tmp_path, "daemon")
        assert not service.is_running(tmp_path, "runner")
        with pytest.raises(errors.AlreadyRunning, match=f"process {holder.pid}"):
            service.only_one(tmp_path, "daemon")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert not service.is_running(tmp_path, "daemon")
    service.only_one(tmp_path, "daemon").close()


def test_asking_whether_it_runs_does_not_take_the_role(tmp_path: Path) -> None:
    service.only_one(tmp_path, "daemon").close()
    assert not service.is_running(tmp_path, "daemon")
    with service.only_one(tmp_path, "daemon"):
        assert service.is_running(tmp_path, "daemon")


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_systemd_is_told_at_the_address_it_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    address = f"\x00orloj-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\x00", "@"))
        assert service.notify("READY=1")
        assert systemd.recv(64) == b"READY=1"


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert not service.notify("READY=1")
    assert service.watchdog_interval_s() is None


def test_the_watchdog_is_fed_twice_as_often_as_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert service.watchdog_interval_s() == 15.0


def test_somebody_who_only_asks_does_not_keep_the_role_from_its_holder(tmp_path: Path) -> None:
    service.only_one(tmp_path, "daemon").close()
    asking = (tmp_path / "daemon.lock").open()
    fcntl.flock(asking, fcntl.LOCK_SH)
    done = threading.Timer(0.01, asking.close)
    done.start()
    service.only_one(tmp_path, "daemon").close()
    done.join()


def test_a_host_keeps_its_name_and_another_home_has_another(tmp_path: Path) -> None:
    first = service.host_id(tmp_path / "first")
    assert first.startswith(os.uname().nodename + "-")
    assert service.host_id(tmp_path / "first") == first
    assert service.host_id(tmp_path / "second") != first


def test_processes_that_start_together_agree_on_the_name(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from runner.contract import service\n"
        "print(service.host_id(Path(sys.argv[1])))\n"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    assert len({starter.communicate(timeout=30)[0] for starter in starters}) == 1
