"""Limits that hold before the call: set aside first, settled when it is over.

limits (the arithmetic and its proof) <── rules (what applies to a call)
   └── reservations ──> rows <── settlements
records and worst_window show it from the rows and prove it from the log
"""
