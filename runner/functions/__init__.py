"""What tools of type `python` can call: functions of ours, each in a process of its own.

They run in a sandbox, started as `python -I -S child.py`: nothing here or below may import
more than the standard library, `runner.contract.errors` and its neighbours.
"""
