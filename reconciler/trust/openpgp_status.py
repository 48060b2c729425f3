"""What gpg says on its status line about a signature, and of the keys it was given. Pure.

gpg's exit code is not enough: it is 0 for a key that has expired or was revoked. One
signature must be there, called good, and nothing else may be said against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.git import address as git_address
from reconciler.trust.verdict import Signature, Verdict

RSA_BITS_MIN: Final = 2_048
_PREFIX: Final = "[GNUPG:] "
_RSA: Final = ("1", "2", "3")
_ALGORITHMS: Final = (*_RSA, "19", "22", "27", "28")
"""RSA, ECDSA, EdDSA, Ed25519, Ed448. Not DSA (17)."""
_HASHES: Final = ("8", "9", "10", "11", "12", "14")
"""The families of SHA-2 and SHA-3. Not MD5 (1), SHA-1 (2), RIPEMD-160 (3)."""
_AGAINST: Final = {
    "REVKEYSIG": (Signature.BAD, "its key was revoked"),
    "EXPKEYSIG": (Signature.UNKNOWN, "its key was trusted and has expired"),
    "EXPSIG": (Signature.BAD, "the signature itself has expired"),
    "BADSIG": (Signature.BAD, "it is not over this commit"),
    "NO_PUBKEY": (Signature.UNKNOWN, "its key is not one of those trusted"),
    "ERRSIG": (Signature.BAD, "it cannot be verified: its algorithm is too weak or unknown"),
}
_BROKEN: Final = Verdict(signature=Signature.BAD, why="it is not one whole OpenPGP signature")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key of the keyring: its size, and whose the primary key is that it belongs to."""

    bits: int
    user: str


def keys(colons: bytes) -> Mapping[str, PublicKey]:
    """The keys by fingerprint, in the output of `gpg --with-colons --list-keys`."""
    sizes: dict[str, int] = {}
    groups: dict[str, list[str]] = {}
    users: dict[str, str] = {}
    primary, bits, first = "", 0, False
    for line in colons.decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if len(fields) < 10:
            continue
        if fields[0] in ("pub", "sub"):
            bits, first = int(fields[2] or 0), fields[0] == "pub"
        elif fields[0] == "fpr":
            primary = fields[9] if first else primary
            sizes[fields[9]] = bits
            groups.setdefault(primary, []).append(fields[9])
        elif fields[0] == "uid":
            users.setdefault(primary, fields[9])
    return {
        key: PublicKey(sizes[key], git_address.plain(users.get(primary, "")))
        for primary, group in groups.items()
        for key in group
    }


def verdict(status: bytes, known: Mapping[str, PublicKey]) -> Verdict:
    """What `gpg --status-fd 1 --verify` said of one signature."""
    lines = [
        line.removeprefix(_PREFIX).split(" ")
        for line in status.decode("utf-8", "replace").splitlines()
        if line.startswith(_PREFIX)
    ]
    said = {line[0]: line[1:] for line in lines}
    if sum(line[0] == "NEWSIG" for line in lines) != 1:
        return _BROKEN
    key = (said.get("VALIDSIG") or said.get("ERRSIG", [])[6:] or [""])[0]
    for word, (signature, why) in _AGAINST.items():
        # A key that is not there is told by ERRSIG as well, which knows less.
        if word in said and not (word == "ERRSIG" and "NO_PUBKEY" in said):
            return Verdict(signature=signature, key=key, why=why)
    valid = said.get("VALIDSIG", [])
    public = known.get(key)
    if "GOODSIG" not in said or len(valid) < 10 or public is None:
        return _BROKEN
    if weakness := _weakness(valid[6], valid[7], public.bits):
        return Verdict(signature=Signature.BAD, key=key, why=weakness)
    return Verdict(signature=Signature.GOOD, signer=public.user, key=key)


def _weakness(algorithm: str, digest: str, bits: int) -> str:
    if algorithm not in _ALGORITHMS:
        return "it uses an algorithm that is not allowed, such as DSA"
    if digest not in _HASHES:
        return "it uses a hash that is broken, such as SHA-1"
    if algorithm in _RSA and bits < RSA_BITS_MIN:
        return f"its RSA key has {bits} bits, and {RSA_BITS_MIN} are the least"
    return ""
