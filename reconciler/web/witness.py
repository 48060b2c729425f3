"""The port of a witness: `POST /add-checkpoint`, and nothing else.

A refusal is one sentence, but for 409: there the body is the size that was cosigned last, for
the log to prove from. Source: c2sp.org/tlog-witness.
"""

import logging
from collections.abc import Callable
from typing import Final

from reconciler.proof import request
from reconciler.proof.request import Refusal
from reconciler.proof.witness import Witness
from reconciler.web.message import Answer, Head
from reconciler.web.router import Route
from runner.contract import telemetry

PATH: Final = "/add-checkpoint"
_TEXT: Final = {"Content-Type": "text/plain; charset=utf-8"}
_SIZE: Final = {"Content-Type": "text/x.tlog.size"}

Now = Callable[[], int]


def route(witness: Witness, now_s: Now) -> Route:
    """The route on which a witness is asked."""

    def handle(head: Head, body: bytes) -> Answer:
        try:
            asked = request.parse(body.decode("utf-8"))
        except ValueError as error:
            return _refused(Refusal(400, _sentence(error)), head.address)
        found = witness.cosign(asked, now_s())
        if isinstance(found, Refusal):
            return _refused(found, head.address)
        telemetry.log(
            "witness_cosigned",
            "A checkpoint was cosigned.",
            log=found.checkpoint.origin,
            size=found.checkpoint.size,
            head=found.checkpoint.root.hex(),
        )
        return Answer(200, found.lines.encode(), _TEXT, earned=True)

    return Route(PATH, ("POST",), handle)


def _sentence(error: ValueError) -> str:
    return "this is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _refused(refusal: Refusal, address: str) -> Answer:
    telemetry.log(
        "witness_fork" if refusal.fork else "witness_refused",
        f"A checkpoint was not cosigned: {refusal.problem}.",
        level=logging.ERROR if refusal.fork else logging.WARNING,
        status=refusal.status,
        address=address,
    )
    # Whoever gets as far as 409 or 422 has shown a signature of the log.
    earned = refusal.status in (409, 422)
    if refusal.size is not None:
        return Answer(refusal.status, f"{refusal.size}\n".encode(), _SIZE, earned)
    return Answer(refusal.status, f"{refusal.problem}\n".encode(), _TEXT, earned)
