"""Tells others of events: commit statuses at Git hosts, webhooks, Slack.

    event (a row) ─> choice ─> outbox (a row for each target) ─> letter ─> post ─> sent
                                    ^──────── later, at most ten times ──────┘ └─> failed

A target has a lane: a thread of its own, so that one that hangs holds up neither the loop
nor another target. Rows are written before anything is sent and closed after, so that a
daemon that is killed in between sends again, under the same `Idempotency-Key`.
"""
