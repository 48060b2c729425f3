"""The parts that an export is made of: one line each.

A part that looks at entries is a `Part`; see there. What needs the database gets the
connection that the entries are read with, so that all parts see the log at one moment.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from reconciler.evidence import controls, framework_files, repositories
from reconciler.evidence.approvals import Approvals
from reconciler.evidence.controls import Controls
from reconciler.evidence.disclosures import Choice, Disclosures
from reconciler.evidence.entry_sheet import EntrySheet
from reconciler.evidence.findings_sarif import FindingsSarif
from reconciler.evidence.ocsf import Ocsf
from reconciler.evidence.part import Part, Scope
from reconciler.evidence.populations import Populations
from reconciler.evidence.report import Report
from reconciler.evidence.repositories import Repositories


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person asked to have in an export.

    All that is private stays a commitment but what `disclose` names. No `frameworks` means
    all that are known; `controls` is a folder of more. Without `git` the repositories are
    left out.
    """

    disclose: Choice = field(default_factory=Choice)
    frameworks: tuple[str, ...] = ()
    controls: Path | None = None
    pdf: bool = True
    git: bool = True


@dataclass(frozen=True, slots=True)
class Sources:
    """What parts read besides the entries; `scratch` is a folder that is removed.

    `files` closes what a part keeps open while entries go by, whatever happens.
    """

    connection: Connection
    home: Path
    scratch: Path
    files: ExitStack


@dataclass(frozen=True, slots=True)
class Chosen:
    """The parts of one export, in the order in which they are ended."""

    all: list[Part]
    disclosures: Disclosures
    report: Report


def chosen(scope: Scope, sources: Sources, wanted: Wanted) -> Chosen:
    """The parts of one export."""
    frameworks = framework_files.chosen(wanted.frameworks, wanted.controls)
    mirrors = repositories.mirrors(sources.home, sources.scratch)
    disclosures = Disclosures(scope, sources.files, sources.connection, wanted.disclose)
    populations = Populations(scope, mirrors)
    sources.files.callback(populations.close)
    every: list[Part] = [
        populations,
        disclosures,
        Approvals(scope, sources.connection, wanted.disclose, mirrors),
        EntrySheet(scope, sources.files),
        Ocsf(scope, sources.files),
        FindingsSarif(scope, sources.files),
        Controls(scope, frameworks, populations, controls.published(sources.connection, scope)),
    ]
    if wanted.git:
        every.append(Repositories(scope, mirrors))
    report = Report(scope, populations, pdf=wanted.pdf)
    return Chosen([*every, report], disclosures, report)
