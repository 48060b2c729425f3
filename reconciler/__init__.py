"""The control plane: makes the recorded state equal to the repository.

Flow of a pass: fetch, parse, check, plan, apply, report. The recorded state (rows in
`runner.contract`) is the only place where this plane meets the runner.
"""

__version__ = "0.1.0"
