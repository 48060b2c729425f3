"""YAML text to resources and problems, with file, line and column. Pure.

    text ──positions──> documents ──seal Secrets──> kinds ──> resources
                └──────────────── problems ───────────┘

All problems of a file come at once. Secret values are replaced by digests before anything
else looks at them, and no problem shows a line of a document that may hold one.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from pydantic import ValidationError

from reconciler.manifest import (
    annotations,
    caution,
    elsewhere,
    excerpt,
    origin,
    positions,
    sealing,
    wording,
)
from reconciler.manifest.document import Document, Reading
from reconciler.manifest.sealing import Seal
from reconciler.manifest.wording import Finding
from reconciler.problem import Problem, Severity
from reconciler.resource import Mention, Resource
from runner.contract.kinds import (
    API_VERSION,
    KINDS,
    Key,
    Metadata,
    SealedSecret,
    Spec,
    canonical,
    digest,
)
from runner.contract.kinds.schema import Shape, metadata_shape, schema, shape

MEANING: Final = 6  # Count up when the same text comes to mean something else.
PROBLEMS_MAX: Final = 100

_NEEDED: Final = ("apiVersion", "kind", "metadata", "spec")
_TOP: Final = (*_NEEDED, "status")
_TOP_SHAPE: Final = Shape({name: (name, None) for name in _TOP})


@cache
def parser_version() -> str:
    """Changes when the same text comes to mean something else; 15 ms at the first call."""
    kinds = json.dumps(schema(), sort_keys=True).encode()
    return f"{MEANING}-{hashlib.sha256(kinds).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file declares, and what is wrong or noteworthy in it.

    `torn` are the keys of documents that have mistakes: they are declared all the same.
    """

    resources: tuple[Resource, ...]
    problems: tuple[Problem, ...]
    torn: tuple[Key, ...] = ()


def parse(text: bytes, path: str, seal: Seal) -> Parsed:
    """The resources of a file, and all its problems; never raises for any content."""
    reading = positions.read(text)
    problems = [
        Problem(path, mistake.line, mistake.column, mistake.message, mistake.hint)
        for mistake in reading.mistakes
    ]
    resources: list[Resource] = []
    torn: list[Key] = []
    for document in reading.documents:
        if len(problems) > PROBLEMS_MAX:
            break
        if document.complete and document.value is not None:
            part = _Part(document, path, seal)
            resource = part.resource()
            problems += part.problems
            if resource is not None:
                resources.append(resource)
            elif part.key is not None:
                torn.append(part.key)
    return Parsed(tuple(resources), _finished(problems, reading), tuple(torn))


def _finished(problems: list[Problem], reading: Reading) -> tuple[Problem, ...]:
    """The problems in order, each with its line of text."""
    if not problems:
        return ()
    problems.sort()
    if len(problems) > PROBLEMS_MAX:
        last = problems[PROBLEMS_MAX - 1]
        message = "more problems follow in this file"
        problems[PROBLEMS_MAX - 1 :] = [Problem(last.path, last.line, last.column, message)]
    return excerpt.with_excerpts(problems, reading)


class _Part:
    """One document on its way to a resource."""

    def __init__(self, document: Document, path: str, seal: Seal) -> None:
        self.problems: list[Problem] = []
        self.key: Key | None = None  # Known as soon as kind and name can be read.
        self._document = document
        self._path = path
        self._seal = seal
        self._sealed: list[tuple[str, str]] = []

    def resource(self) -> Resource | None:
        """The resource; None when a problem was found instead."""
        manifest = self._document.value
        if type(manifest) is not dict:
            what = wording.type_name(manifest)
            self._find(Finding((), False, f"a manifest is a mapping, this is {what}"))
            return None
        kind = self._kind(manifest)
        self._top(manifest)
        metadata = self._valid(Metadata, manifest, "metadata", metadata_shape)
        if kind is None:
            return None
        declared = "Secret" if kind == "SealedSecret" else kind
        if isinstance(metadata, Metadata):
            self.key = Key(metadata.namespace, declared, metadata.name)
            self._problems_of(origin.mistakes(declared, metadata))
            self._problems_of(annotations.mistakes(declared, metadata))
            self._problems_of(elsewhere.misplaced(declared, metadata))
        if kind == "Secret":
            self._sealed, mistakes = sealing.seal_values(manifest, self._seal)
            self._problems_of(mistakes)
        spec = self._valid(KINDS[kind], manifest, "spec", lambda: shape(kind))
        if self.problems or self._document.flawed or metadata is None or spec is None:
            return None
        assert isinstance(metadata, Metadata)
        assert isinstance(spec, Spec)
        if isinstance(spec, SealedSecret):
            metadata = self._with_template(metadata, spec)
        return self._built(kind, metadata, spec)

    def _kind(self, manifest: dict[str, Any]) -> str | None:
        version, kind = manifest.get("apiVersion"), manifest.get("kind")
        if version != API_VERSION and "apiVersion" in manifest:
            self._find(
                Finding(("apiVersion",), False, f"`apiVersion` can only be {API_VERSION}")
            )
        if isinstance(kind, str) and kind in KINDS:
            return kind
        if refused := elsewhere.refused(kind):
            self._find(refused)
        elif "kind" in manifest:
            hint = wording.one_of(kind, list(KINDS))
            self._find(Finding(("kind",), False, "unknown kind", hint))
        return None

    def _top(self, manifest: dict[str, Any]) -> None:
        unknown = [name for name in manifest if name not in _TOP]
        for name in unknown[:PROBLEMS_MAX]:
            self._find(self._unknown(name, manifest))
        missing = [f"`{name}`" for name in _NEEDED if name not in manifest]
        if missing:
            self._find(Finding((), False, f"the manifest needs {', '.join(missing)}"))

    def _unknown(self, name: str, manifest: dict[str, Any]) -> Finding:
        kind = manifest.get("kind")
        if isinstance(kind, str) and kind in KINDS and name in shape(kind).fields:
            message = f"unknown field `{name}`"
            return Finding((name,), True, message, "it belongs under `spec`")
        return wording.unknown_field((name,), _TOP_SHAPE)

    def _valid(
        self,
        model: type[Metadata] | type[Spec],
        manifest: dict[str, Any],
        field: str,
        known: Callable[[], Shape],
    ) -> Metadata | Spec | None:
        if field not in manifest:
            return None
        try:
            return model.model_validate(manifest[field], strict=True)
        except ValidationError as error:
            for finding in wording.findings(error, known(), field):
                path = finding.path
                if path not in self._document.marks:  # Told by its canonical spelling.
                    path = self._document.written(path, known())
                self._find(replace(finding, path=path))
        return None

    def _with_template(self, metadata: Metadata, spec: SealedSecret) -> Metadata:
        """The metadata of the Secret: that of the manifest, then what its template adds."""
        changed = {
            "labels": spec.template.labels | metadata.labels,
            "annotations": spec.template.annotations | metadata.annotations,
        }
        return metadata.model_copy(update=changed)

    def _find(self, finding: Finding, severity: Severity = Severity.ERROR) -> None:
        document, path = self._document, finding.path
        if any(path[: len(flaw)] == flaw for flaw in document.flawed):
            return  # The text was already found wrong there.
        line, column = document.key_at(path) if finding.at_key else document.value_at(path)
        self.problems.append(
            Problem(self._path, line, column, finding.message, finding.hint, severity)
        )

    def _problems_of(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._find(finding)

    def _built(self, kind: str, metadata: Metadata, spec: Spec) -> Resource:
        document, namespace = self._document, metadata.namespace
        known = shape(kind)
        kind, stored = ("Secret", spec.secret()) if type(spec) is SealedSecret else (kind, spec)
        body = canonical(metadata, stored)
        for path, message in caution.cautions(spec):
            finding = Finding(document.written(path, known), True, message)
            self._find(finding, Severity.WARNING)
        for path, message in elsewhere.of_servers(document.value):
            self._find(Finding(path, True, message), Severity.WARNING)
        mentions = []
        for reference in spec.references(namespace):
            line, column = document.value_at(document.written(reference.path, known))
            mentions.append(Mention(reference.target, line, column, reference.required))
        return Resource(
            key=Key(namespace, kind, metadata.name),
            path=self._path,
            line=document.line,
            column=document.column,
            spec_hash=digest(body),
            body=body,
            lines=document.lines(known),
            mentions=tuple(mentions),
            sealed=tuple(self._sealed),
            moved_from=origin.mentions(kind, metadata, document.value_at(origin.PATH)),
        )


def encode(resources: Iterable[Resource]) -> str:
    """The resources of a blob as JSON, without the path they were found at."""
    return json.dumps([_row(resource) for resource in resources], separators=(",", ":"))


def _row(resource: Resource) -> list[Any]:
    mentions = [
        [*mention.target, mention.line, mention.column, mention.required]
        for mention in resource.mentions
    ]
    return [
        list(resource.key),
        resource.line,
        resource.column,
        resource.spec_hash,
        resource.body,
        dict(resource.lines),
        mentions,
        [list(pair) for pair in resource.sealed],
        [[*mention.target, mention.line, mention.column] for mention in resource.moved_from],
    ]


def decode(text: str, path: str, blob: str | None) -> tuple[Resource, ...]:
    """The resources that `encode` wrote, as found at a path in a blob."""
    return tuple(
        Resource(
            key=Key(*key),
            path=path,
            line=line,
            column=column,
            spec_hash=spec_hash,
            body=body,
            lines=lines,
            mentions=tuple(
                Mention(Key(namespace, kind, name), at, column_at, required)
                for namespace, kind, name, at, column_at, required in mentions
            ),
            sealed=tuple((digest_of, ciphertext) for digest_of, ciphertext in sealed),
            blob=blob,
            moved_from=tuple(
                Mention(Key(namespace, kind, name), at, column_at, False)
                for namespace, kind, name, at, column_at in moved_from
            ),
        )
        for key, line, column, spec_hash, body, lines, mentions, sealed, moved_from in (
            json.loads(text)
        )
    )
