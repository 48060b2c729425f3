"""`orloj up`: daemon and worker as two processes, their logs on one terminal.

Each child has a process group of its own, so that Ctrl-C reaches only this process and
both children are asked to stop the same way, by SIGTERM. The kernel sends them the same
signal when this process dies, however it dies.
"""

import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from types import FrameType
from typing import IO, Final

import click

from reconciler.cli.context import Context
from reconciler.views.plain import plain

STOP_EXTRA_S: Final = 15.0
"""Beyond the drain, which the worker counts by itself: the daemon is asked when it has ended,
and publishes what was logged until then."""
_PR_SET_PDEATHSIG: Final = 1
_ROLES: Final = ("daemon", "worker")
_CHUNK: Final = 65_536
_LINE_MAX: Final = 262_144
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@click.command()
@click.pass_obj
def command(context: Context) -> int:
    """Run daemon and worker in one terminal until Ctrl-C."""
    settings = context.settings
    with _Children(settings.runner.drain_s + STOP_EXTRA_S) as children:
        for role in _ROLES:
            children.start(
                role, [sys.executable, "-m", "reconciler", "--home", str(settings.home), role]
            )
        return children.watch()


class _Children:
    """The processes of `up`: started, echoed line by line, stopped together."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._selector = selectors.DefaultSelector()
        self._deadline: float | None = None
        self._failed = False
        self._unfinished: dict[str, bytes] = {}
        self._woken, self._waker = socket.socketpair()

    def __enter__(self) -> "_Children":
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        self._selector.close()
        self._woken.close()
        self._waker.close()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._waker.send(bytes([number]))

    def start(self, role: str, argv: list[str]) -> None:
        """Start a child and listen to what it writes."""
        parent = os.getpid()

        def end_with_parent() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)

        process = subprocess.Popen(  # noqa: S603 - our own program, by a fixed argv.
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=end_with_parent,
        )
        assert process.stdout is not None
        self._processes[role] = process
        self._selector.register(process.stdout, selectors.EVENT_READ, role)

    def watch(self) -> int:
        """Echo until both have ended; 0 when somebody stopped us, 1 when one ended alone."""
        while any(key.data is not None for key in self._selector.get_map().values()):
            wait = None if self._deadline is None else self._deadline - time.monotonic()
            ready = self._selector.select(None if wait is None else max(wait, 0.0))
            if not ready and self._deadline is not None:
                self._kill()
            for key, _ in ready:
                if key.data is None:
                    self._signalled()
                else:
                    self._echo(key.data, key.fileobj)  # type: ignore[arg-type]
        return 1 if self._failed else 0

    def _signalled(self) -> None:
        for number in self._woken.recv(64):
            if number == signal.SIGHUP:
                self._processes["daemon"].send_signal(signal.SIGHUP)
            elif self._deadline is not None:
                self._kill()  # The second Ctrl-C means it.
            else:
                click.echo("up     │ stopping; press Ctrl-C again to stop at once", err=True)
                self._stop()

    def _stop(self) -> None:
        self._deadline = time.monotonic() + self._patience_s
        self._stop_next()

    def _stop_next(self) -> None:
        """Ask the worker to stop, and then the daemon, which signs what the worker logged."""
        running = [one for one in self._processes.values() if one.poll() is None]
        for process in running[-1:]:
            process.terminate()

    def _kill(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
        self._deadline = time.monotonic() + STOP_EXTRA_S

    def _echo(self, role: str, stream: IO[bytes]) -> None:
        arrived = os.read(stream.fileno(), _CHUNK)
        *lines, rest = (self._unfinished.pop(role, b"") + arrived).split(b"\n")
        if rest and (not arrived or len(rest) > _LINE_MAX):
            lines, rest = [*lines, rest], b""
        self._unfinished[role] = rest
        for line in lines:
            click.echo(f"{role} │ {readable(line)}")
        if arrived:
            return
        self._selector.unregister(stream)
        code = self._processes[role].wait()
        if self._deadline is None:
            self._failed = True
            click.echo(f"up     │ the {role} ended by itself with code {code}", err=True)
            self._stop()
        else:
            self._stop_next()


def readable(line: bytes) -> str:
    """A line of our JSON logs as `03:00:00.123 sentence (field=value)`; others as they are."""
    text = line.decode("utf-8", "replace").rstrip("\n")
    try:
        fields = json.loads(text)
        at, message = fields.pop("time"), fields.pop("message")
    except (ValueError, AttributeError, KeyError, TypeError):
        return plain(text)
    level = fields.pop("level", "info")
    fields.pop("action", None)
    exception = fields.pop("exception", "")
    rest = " ".join(f"{name}={value}" for name, value in fields.items())
    head = "" if level == "info" else f"{str(level).upper()} "
    shown = plain(f"{str(at)[11:23]} {head}{message}" + (f" ({rest})" if rest else ""))
    return "\n".join([shown, *(f"  {plain(part)}" for part in str(exception).splitlines())])
