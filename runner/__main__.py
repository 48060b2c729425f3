"""`python -m runner [HOME]` starts the pool; it imports nothing of the control plane."""

import sys
from pathlib import Path

from runner import pool
from runner.contract import settings
from runner.contract.errors import OrlojError

try:
    sys.exit(pool.main(settings.load(Path(sys.argv[1]) if len(sys.argv) > 1 else None)))
except OrlojError as error:
    sys.exit(str(error))
