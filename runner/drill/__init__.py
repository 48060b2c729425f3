"""A fail-closed drill: real faults, the real runner, and a tool that notes each call.

rehearsal   which call of which agent is tried, with whose manifests: pure
canary      a server that plays model and tool, and counts
scratch     a home of the drill's own, with a runner process on it
faults      what goes wrong, and by what it is seen that the runner has met it
clockless   the runner with a clock that can be made unreadable
practice    one fault after the other, and what came of each

Nothing of the live system is touched: its manifests are read and copied, and the outcome is
written to its audit log by whoever called the drill. The scratch database is SQLite, whatever
the live one is: on PostgreSQL even a schema of its own would share the log's lock with it.
"""

from runner.drill.canary import Canary
from runner.drill.faults import FAULTS
from runner.drill.practice import Outcome, practise
from runner.drill.rehearsal import Rehearsal, of_agent, of_our_own

__all__ = [
    "FAULTS",
    "Canary",
    "Outcome",
    "Rehearsal",
    "of_agent",
    "of_our_own",
    "practise",
]
