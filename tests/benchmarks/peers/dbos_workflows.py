"""DBOS: durable workflows, on PostgreSQL or on SQLite, whichever the place says.

python -m peers.dbos_workflows    one worker process
"""

import signal
import threading

from dbos import DBOS, DBOSClient

from peers import place
from peers.peer import Peer, python

QUEUE = "bench"
ADDRESS = place.STORE.replace("postgresql:", "postgresql+psycopg:", 1) or (
    f"sqlite:///{place.FOLDER / 'dbos.sqlite'}"
)
OPTIONS = {"queue_name": QUEUE, "workflow_name": "noop", "app_version": "1"}


@DBOS.workflow(name="noop")
def noop(sent_ns: int) -> None:
    place.noop(sent_ns)


def launch() -> None:
    """Make this process an executor of DBOS."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": ADDRESS,
            "application_version": "1",
            "log_level": "WARNING",
            "run_admin_server": False,
        }
    )
    DBOS.launch()


class Dbos(Peer):
    """The queue is polled every 10 ms, and not every second as it is by default."""

    name = "DBOS (PostgreSQL)" if place.STORE else "DBOS (SQLite)"
    packages = ("dbos",)
    promise = "resumes when an executor of the same id starts again; no lease; durable"
    setting = "queue polled every 10 ms, 50 workflows a process, 2 processes"
    batch = 100

    def prepare(self) -> None:
        launch()
        DBOS.register_queue(QUEUE, worker_concurrency=50, polling_interval_sec=0.01)
        DBOS.destroy()
        self._client = DBOSClient(system_database_url=ADDRESS)

    def workers(self) -> list[list[str]]:
        return [python("-m", "peers.dbos_workflows")] * 2

    def enqueue(self, sent_ns: int = 0) -> None:
        self._client.enqueue(OPTIONS, sent_ns)

    def enqueue_batch(self) -> None:
        with self._client._sys_db.engine.begin() as connection:
            for _ in range(self.batch):
                self._client.enqueue_in_transaction(connection, OPTIONS, 0)

    def close(self) -> None:
        self._client.destroy()


PEER = Dbos()

if __name__ == "__main__":
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    launch()
    stop.wait()
    DBOS.destroy()
