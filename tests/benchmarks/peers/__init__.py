"""Queues that people use in Python, each behind the same few calls, so that all do the same.

One module a peer. It is imported twice: by the process that queues tasks and measures, and
by the peer's own workers, which find the task function in it. Where the queue is kept and
where the task leaves its mark comes from the environment (`place`).
"""
