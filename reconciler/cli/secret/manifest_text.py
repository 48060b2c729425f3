"""A SealedSecret as a manifest: what `orloj secret seal` and `reseal` write."""

import json
from collections.abc import Mapping

from runner.contract.kinds import API_VERSION
from runner.contract.kinds.sealed_secret import SealedEntry


def manifest_text(
    namespace: str,
    name: str,
    entries: Mapping[str, SealedEntry],
    metadata: Mapping[str, Mapping[str, str]],
    allowed_namespaces: list[str],
) -> str:
    """The manifest. `metadata` holds labels and annotations, where there are any."""
    lines = [f"apiVersion: {API_VERSION}", "kind: SealedSecret", "metadata:"]
    lines += [f"  name: {_scalar(name)}", f"  namespace: {_scalar(namespace)}"]
    for field, pairs in metadata.items():
        lines.append(f"  {field}:")
        lines += [f"    {_scalar(key)}: {_scalar(value)}" for key, value in pairs.items()]
    lines.append("spec:")
    if allowed_namespaces:
        lines.append("  allowedNamespaces:")
        lines += [f"    - {_scalar(other)}" for other in allowed_namespaces]
    lines.append("  encryptedData:")
    for entry, sealed in entries.items():
        lines += [
            f"    {_scalar(entry)}:",
            f"      keyId: {_scalar(sealed.key_id)}",
            f"      wrappedKey: {sealed.wrapped_key}",
            f"      ciphertext: {sealed.ciphertext}",
        ]
    return "\n".join(lines) + "\n"


def _scalar(text: str) -> str:
    # A JSON string is a YAML scalar; digits and `no` would be read as something else bare.
    return text if text.isidentifier() and not _constant(text) else json.dumps(text)


def _constant(text: str) -> bool:
    return text.lower() in {"true", "false", "null", "yes", "no", "on", "off"}
