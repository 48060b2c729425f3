"""procrastinate: a queue in PostgreSQL, woken by LISTEN/NOTIFY."""

import procrastinate

from peers import place
from peers.peer import Peer, python

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=place.STORE))


@app.task(name="noop", queue="bench")
async def noop(sent_ns: int) -> None:
    place.noop(sent_ns)


class Procrastinate(Peer):
    """Ten jobs at once in each worker, and not one as by default."""

    name = "procrastinate (PostgreSQL)"
    packages = ("procrastinate", "psycopg")
    promise = "at least once, if the user retries stalled jobs himself; no fence; durable"
    setting = "LISTEN/NOTIFY, 10 asynchronous jobs a process, 2 processes"
    batch = 100

    def prepare(self) -> None:
        self._app = procrastinate.App(
            connector=procrastinate.SyncPsycopgConnector(conninfo=place.STORE)
        )
        self._app.open()
        self._app.schema_manager.apply_schema()
        self._noop = self._app.configure_task("noop", queue="bench")

    def workers(self) -> list[list[str]]:
        app = "--app=peers.procrastinate_postgresql.app"
        return [python("-m", "procrastinate", app, "worker", "--concurrency=10")] * 2

    def enqueue(self, sent_ns: int = 0) -> None:
        self._noop.defer(sent_ns=sent_ns)

    def enqueue_batch(self) -> None:
        self._noop.batch_defer(*[{"sent_ns": 0}] * self.batch)

    def close(self) -> None:
        self._app.close()


PEER = Procrastinate()
