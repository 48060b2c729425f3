"""What the daemon's log says of one repository: each thing once, however often it is seen."""

import logging

from reconciler import apply
from reconciler.canary_verdict import Verdict
from reconciler.canary_watch import Tended
from reconciler.report import Outcome, PassResult
from runner.contract import errors, telemetry


class FollowerLog:
    """Remembers what was said last, so that a condition that stays is not said again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._failure = ""
        self._rejection: object = None

    def failed(self, message: str) -> None:
        """A look came to no end."""
        if message != self._failure:
            telemetry.log("pass_failed", message, level=logging.WARNING, source=self._name)
        self._failure = message

    def ended(self, result: PassResult, took_us: int) -> None:
        """What a pass did."""
        if isinstance(result.error, errors.OrlojError):
            self.failed(str(result.error))
        else:
            self._failure = ""
        if result.outcome is Outcome.APPLIED and result.plan is not None:
            telemetry.log(
                "pass_applied",
                f"Applied a commit: {apply.counted(result.plan)}.",
                source=self._name,
                commit=result.commit,
                plan=result.plan.short_id,
                tasks=len(result.tasks),
                took_ms=took_us // 1_000,
            )
            self._rejection = None
        elif result.outcome is Outcome.REJECTED:
            self._rejected(result)

    def _rejected(self, result: PassResult) -> None:
        rejection = (result.commit, *(block.reason for block in result.blocks), result.problems)
        if rejection != self._rejection:
            verb = "Holds back" if result.waits else "Rejected"
            telemetry.log(
                "pass_rejected",
                f"{verb} a commit; what was applied before stays.",
                level=logging.WARNING,
                source=self._name,
                commit=result.commit,
                problems=[str(problem) for problem in result.problems[:5]],
                blocked=[str(block) for block in result.blocks],
            )
        self._rejection = rejection

    def canary(self, tended: Tended) -> None:
        """How the canary of a revision ended."""
        if tended.verdict is Verdict.PASSED:
            telemetry.log(
                "canary_passed",
                "A revision passed its canary.",
                source=self._name,
                commit=tended.commit,
            )
            return
        telemetry.log(
            "canary_failed",
            "A revision failed its canary.",
            level=logging.ERROR,
            source=self._name,
            commit=tended.commit,
            put_back=tended.reverted_to,
            reason=tended.why,
        )
