"""Calls that wait for a person: asked once, decided once, used once.

asking ──> request (the bytes that are shown, digested, logged and signed) ──> rows
   └── approvals: what the guard makes of what people said; decisions: what they say
notification, outbox, notifier: who is told, beside the runner and never in its way
"""
