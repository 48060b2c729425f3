"""huey on SQLite: a task is deleted when a worker takes it."""

from huey import SqliteHuey

from peers import place
from peers.peer import Peer, python

app = SqliteHuey("bench", filename=str(place.FOLDER / "huey.db"), fsync=True, results=False)


@app.task()
def noop(sent_ns: int) -> None:
    place.noop(sent_ns)


class Huey(Peer):
    """The consumer polls every 10 to 20 ms, and not every 0.1 to 10 s as it does by default."""

    name = "huey (SQLite)"
    packages = ("huey",)
    promise = "at most once: a worker that dies loses its task; durable to the disk"
    setting = "WAL, synchronous=FULL, 2 processes, polls every 10-20 ms, no results"

    def workers(self) -> list[list[str]]:
        consumer = python("-m", "huey.bin.huey_consumer", "peers.huey_sqlite.app")
        tuned = ["-w", "2", "-k", "process", "-d", "0.01", "-m", "0.02", "-b", "1.15"]
        return [[*consumer, *tuned, "--no-periodic", "--quiet"]]

    def enqueue(self, sent_ns: int = 0) -> None:
        noop(sent_ns)


PEER = Huey()
