"""The door for programs of others: a port of the daemon, off unless the settings open it.

    connection ─> server (bounds, HTTP) ─> router (path, method, rate) ─> healthz | hooks

It has threads of its own, takes nothing of the loop's time but a ring, and nothing that it
is sent can end the daemon.
"""
