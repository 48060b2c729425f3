"""`python -m runner [HOME]` starts the pool; it imports nothing of the control plane."""

import sys
from pathlib import Path

from runner import pool
from runner.contract import settings

sys.exit(pool.main(settings.load(Path(sys.argv[1]) if len(sys.argv) > 1 else None)))
