"""All that a commit declares, out of Git and nothing else: no cache, no recorded state.

A decision is judged again by what the repository says, so that an edit of the database
cannot make an edited decision look right.
"""

from collections.abc import Mapping

from reconciler import manifest
from reconciler.problem import has_errors
from reconciler.resource import Resource
from reconciler.why.manifest import Held
from runner.contract import errors, seal
from runner.contract.kinds import Key
from runner.contract.settings import Settings


def declared(settings: Settings, held: Held) -> Mapping[Key, Resource]:
    """The resources of the commit, by key; SourceError when Git fails or it has mistakes."""
    sealer = seal.sealer(settings.home)
    files = held.git.tree(held.head.sha).files
    texts = held.git.blobs(file.blob for file in files)
    found: dict[Key, Resource] = {}
    for file in files:
        text = texts[file.blob]
        if text is None:
            raise errors.SourceStalled("ManifestInvalid", f"{file.path} is too large to read")
        parsed = manifest.parse(text, file.path, sealer.seal)
        for problem in parsed.problems:
            if has_errors([problem]):
                raise errors.SourceStalled("ManifestInvalid", str(problem))
        found |= {resource.key: resource for resource in parsed.resources}
    return found
