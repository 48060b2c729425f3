"""The real runner of a home, with workers that do nothing.

    python tests/benchmarks/noop_runner.py HOME [TALLY]

Settings come from the environment, as they do for the runner itself.
"""

import asyncio
import signal
import sys
import threading
from pathlib import Path

from runner.contract import service, settings
from runner.contract.database import Database, open_database
from runner.contract.settings import Settings
from runner.contract.telemetry import configure
from runner.dispatcher import Dispatcher
from runner.pool import ROLE, Pool

WORKER = Path(__file__).with_name("noop_worker.py")


async def serve(
    configured: Settings, database: Database, stop: threading.Event, command: list[str]
) -> None:
    """As the runner itself serves, but for the command of its workers."""
    dispatcher = Dispatcher(database, configured)
    dispatcher.start()
    try:
        await Pool(configured, dispatcher, stop, command=command).run()
    finally:
        dispatcher.close()


def main() -> None:
    """Run until a signal says stop."""
    configure()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    configured = settings.load(Path(sys.argv[1]))
    lock = service.only_one(configured.run, ROLE)
    database = open_database(configured.home, configured.database.url.get_secret_value())
    command = [sys.executable, str(WORKER), *sys.argv[2:3]]
    try:
        asyncio.run(serve(configured, database, stop, command))
    finally:
        database.close()
        lock.close()


if __name__ == "__main__":
    main()
