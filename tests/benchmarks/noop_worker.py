"""A worker that does nothing: it says ready, pings, and answers every task with `finish`.

Started by the pool in place of the product's worker, so that what is measured is the way of
a task through the dispatcher and the database, and not what an agent does. It belongs to
the benchmarks. With a tally it notes when each task reached it.
"""

import json
import socket
import sys
import time

from tally import Tally

CHUNK = 1 << 18
ENDING = {"outcome": "succeeded", "output": "done"}


def finish(task: dict[str, object], tally: Tally | None) -> dict[str, object]:
    if tally is not None:
        tally.note(int(task["input"].get("sent", 0)))
    return {"op": "finish", "task": task["task"], "fence": task["fence"], **ENDING}


def serve(wire: socket.socket, tally: Tally | None) -> None:
    """Answer until the dispatcher hangs up; all that came at once is answered at once."""
    rest = b""
    send(wire, [{"op": "ready"}])
    beat_s, beat_at = 10.0, 0.0
    while True:
        if time.monotonic() >= beat_at:
            send(
                wire, [{"op": "ping", "at": time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000}]
            )
            beat_at = time.monotonic() + beat_s
        wire.settimeout(max(0.001, beat_at - time.monotonic()))
        try:
            chunk = wire.recv(CHUNK)
        except TimeoutError:
            continue
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        messages = [json.loads(line) for line in lines]
        for message in messages:
            if message["do"] == "hello":
                beat_s = message["settings"]["runner"]["lease_s"] / 3
                beat_at = 0.0
            elif message["do"] == "leave":
                return
        send(wire, [finish(message, tally) for message in messages if message["do"] == "run"])


def send(wire: socket.socket, messages: list[dict[str, object]]) -> None:
    if messages:
        wire.setblocking(True)
        wire.sendall(b"".join(json.dumps(message).encode() + b"\n" for message in messages))


def main() -> None:
    """Serve on the socket whose number is the last argument; the tally may stand before it."""
    tally = Tally(sys.argv[1]) if len(sys.argv) > 2 else None
    serve(socket.socket(fileno=int(sys.argv[-1])), tally)


if __name__ == "__main__":
    main()
