"""Values to words: each view takes a value and returns text, a renderable or JSON. Pure.

Nothing here reads, decides or prints. Text that people or models wrote passes through
`plain` first, so that it cannot steer a terminal.
"""
