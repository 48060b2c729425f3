"""The data plane: runs what is recorded, within the rules.

Flow: the dispatcher claims tasks and hands them to worker processes; a worker asks the
model what to do, asks the guard before doing it, and remembers what happened; the
dispatcher makes all of it durable. Nothing here imports the control plane: the runner
goes on when the reconciler is down.
"""
