"""The witnesses of the policy, as the publisher uses them: asked, and told of when they fail.

    checkpoint to publish ──asked──> cosignatures ──> stored, published

Nothing of it stops a publication: a witness that is away is a trouble that people are told of,
and one that saw another log is an alarm. They are asked once a publication, not of every
checkpoint: a later one covers all before it.
"""

from collections.abc import Sequence
from typing import Final

from reconciler.proof import cosigning, troubles
from reconciler.proof.cosigning import Cosigner, Reply
from reconciler.proof.note import Note
from reconciler.proof.policy import Policy
from reconciler.proof.troubles import Part, Trouble
from runner.contract import clock, errors
from runner.contract.database import Database
from runner.contract.settings import Settings

FORK: Final = "AuditWitnessForked"
AWAY: Final = "AuditWitnessAway"
UNUSABLE: Final = "AuditPolicyUnusable"


class Witnesses:
    """Gets checkpoints of one home cosigned, whatever its policy says at the time."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._policy: Policy | None = None
        self._cosigner: Cosigner | None = None

    def cosigned(self, signed: Note, timeout_s: float = cosigning.TIMEOUT_S) -> Note:
        """The note of a checkpoint with the cosignatures that could be had."""
        try:
            cosigner = self._current()
        except errors.SettingsInvalid as error:
            self._tell([Trouble(Part.COSIGNING, UNUSABLE, str(error))])
            return signed
        if cosigner is None:
            return signed
        found = cosigner.cosigned(signed, timeout_s)
        self._tell([_trouble(found.problems)] if found.problems else [])
        return found.signed

    def _current(self) -> Cosigner | None:
        """Who is asked: the file of the policy is read anew each time, and may have changed."""
        policy = cosigning.policy_of(self._settings)
        if policy is None:
            return None
        if policy != self._policy or self._cosigner is None:
            self._policy, self._cosigner = policy, Cosigner(self._database, policy)
        return self._cosigner

    def _tell(self, found: Sequence[Trouble]) -> None:
        now_us = clock.now_us()
        with self._database.write() as connection:
            for trouble in found:
                troubles.begin(connection, trouble, now_us)
            if not found:
                troubles.over(connection, Part.COSIGNING, now_us)


def _trouble(problems: Sequence[Reply]) -> Trouble:
    """One trouble for all that did not cosign; a fork goes before what passes by itself."""
    forks = [reply for reply in problems if reply.fork]
    message = "; ".join(f"witness {one.witness}: {one.problem}" for one in forks or problems)
    return Trouble(Part.COSIGNING, FORK if forks else AWAY, message, alarm=bool(forks))
