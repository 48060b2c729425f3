"""What happened in a period: the populations that a review asks for, and samples of them.

    entries, in order ──> changes, calls, approvals, limits, coverage, exceptions ──end──> Git
                     └──> samples, by tickets that follow from the root of the checkpoint

One pass. Sums and bounded lists stay in memory, what grows with the period in files of
SQLite's own. All of it follows from the entries and from Git at the commits they name: the
same period gives the same populations, whoever asks and whenever.

Reports and controls read `Evidence` while `Populations` is open; `close` gives it back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.evidence.part import Scope
from reconciler.evidence.population import commits
from reconciler.evidence.population.calls import Calls, Denials, Tally
from reconciler.evidence.population.changes import NO, Change, Changes
from reconciler.evidence.population.coverage import Coverage
from reconciler.evidence.population.exceptions import Exceptions
from reconciler.evidence.population.inventory import Declares, Inventory
from reconciler.evidence.population.oversight import Approval, Approvals, Oversight
from reconciler.evidence.population.sampling import Drawn, Sample
from reconciler.evidence.population.spending import Spending, Spent
from reconciler.evidence.population.spool import Spool
from runner.contract.audit import Stored


@dataclass(slots=True)
class Evidence:
    """The populations of a period, once all entries went by."""

    scope: Scope
    coverage: Coverage
    calls: Calls
    exceptions: Exceptions
    oversight: Oversight
    inventory: Inventory
    limits: list[Spent]
    sampled_changes: Sample
    sampled_calls: Sample
    rejected: int
    change_count: int
    approval_count: int
    _changes: Changes
    _approvals: Approvals
    agents: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)

    def changes(self) -> Iterator[Change]:
        """Every commit that was applied, oldest first."""
        return self._changes.each()

    def approvals(self) -> Iterator[Approval]:
        """Every request for an approval, oldest first."""
        return self._approvals.each()

    def violations(self) -> Iterator[Change]:
        """Changes that nobody but their authors is known to have looked at."""
        return (change for change in self.changes() if change.four_eyes == NO)

    @property
    def tallies(self) -> list[Tally]:
        """Calls by agent and tool or model."""
        return [self.calls.tallies[key] for key in sorted(self.calls.tallies)]

    @property
    def denials(self) -> list[Denials]:
        """What was denied, by the rule that did; the most frequent first."""
        found = self.calls.denials
        return [found[key] for key in sorted(found, key=lambda key: (-found[key].count, key))]

    @property
    def drawn(self) -> dict[str, list[Drawn]]:
        """The samples by the names of their populations."""
        both = (self.sampled_changes, self.sampled_calls)
        return {sample.population: sample.items for sample in both}


class Populations:
    """Takes the entries of a period one by one. A part of an export that writes no file."""

    def __init__(self, scope: Scope, mirrors: Mapping[str, Declares] | None = None) -> None:
        self._scope = scope
        self._mirrors = mirrors or {}
        self._inventory = Inventory()
        self._spool, self._spending = Spool(), Spending()
        self._changes, self._approvals = Changes(self._spool), Approvals(self._spool)
        self._calls, self._exceptions = Calls(), Exceptions()
        self._coverage = Coverage(self._spool)
        root = scope.checkpoint.root
        self._sampled_changes = Sample("changes", root)
        self._sampled_calls = Sample("calls", root)
        self._agents: set[str] = set()
        self._models: set[str] = set()
        self._evidence: Evidence | None = None

    def take(self, entry: Stored) -> None:
        """Look at the next entry."""
        fields = entry.fields
        whole = self._coverage.take(fields)
        self._exceptions.take(fields)
        self._spending.take(fields)
        self._inventory.take(fields)
        self._approvals.take(fields)
        begun = self._changes.take(fields)
        if begun is not None:
            self._sampled_changes.offer(begun.id)
        if (change := self._changes.change_of(fields)) is not None:
            self._sampled_changes.add(change, fields)
        call = self._calls.take(fields, whole=whole)
        if call is not None:
            if call == str(entry.seq):
                self._sampled_calls.offer(call)
            self._sampled_calls.add(call, fields)
        if agent := fields.get("agent"):
            self._agents.add(agent)
        if model := fields.get("model"):
            self._models.add(model)

    def end(self) -> None:
        """The period is over: ask Git for people, and add up."""
        self._calls.end()
        with commits.opened(self._scope.mirror) as git:
            self._changes.end(git)
        self._inventory.end(self._mirrors)
        self._evidence = Evidence(
            scope=self._scope,
            coverage=self._coverage,
            calls=self._calls,
            exceptions=self._exceptions,
            oversight=self._approvals.summary(),
            inventory=self._inventory,
            limits=self._spending.end(),
            sampled_changes=self._sampled_changes,
            sampled_calls=self._sampled_calls,
            rejected=self._changes.rejected,
            change_count=self._changes.count,
            approval_count=self._approvals.count,
            _changes=self._changes,
            _approvals=self._approvals,
            agents=self._agents,
            models=self._models,
        )

    @property
    def evidence(self) -> Evidence:
        """What came of it, after `end`."""
        assert self._evidence is not None, "the period is not over"
        return self._evidence

    def close(self) -> None:
        """Give the files back; the evidence is gone then."""
        self._spool.close()
        self._spending.close()
