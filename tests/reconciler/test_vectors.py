"""What others published as right is accepted here, and what they published as wrong is not.

The vectors stand in tests/data/vectors, each file with its source, and are those files still.
Wrong proofs are made of the good ones as their authors make theirs: by the list in `proofgen`.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import rfc8785

from reconciler.proof import checkpoint, note, request
from runner.contract import audit_entry, merkle

FOLDER = Path(__file__).parents[1] / "data" / "vectors"


def read(name: str):
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def of_hex(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def test_the_vectors_are_those_that_were_taken_over() -> None:
    lines = (FOLDER / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split() for line in lines)}
    assert set(sums) == {path.name for path in FOLDER.glob("*.json")}
    for name, digest in sums.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


# RFC 8785: github.com/cyberphone/json-canonicalization.

PAIRS = read("jcs.json")["pairs"]


@pytest.mark.parametrize("name", PAIRS)
def test_arguments_are_canonical_as_rfc_8785_says(name: str) -> None:
    given, wanted = map(base64.b64decode, PAIRS[name])
    assert rfc8785.dumps(json.loads(given)) == wanted


@pytest.mark.parametrize("name", [name for name in PAIRS if name in ("french", "unicode")])
def test_entries_are_canonical_as_rfc_8785_says_within_their_bounds(name: str) -> None:
    given, wanted = map(base64.b64decode, PAIRS[name])
    assert audit_entry.encoded(json.loads(given)) == wanted


# RFC 6962: github.com/transparency-dev/merkle.

MERKLE = read("merkle.json")
LEAVES = [merkle.leaf(entry) for entry in of_hex(MERKLE["leaves"])]
ROOTS = of_hex(MERKLE["roots"])
SOME = bytes.fromhex(MERKLE["some"])


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_are_theirs(size: int) -> None:
    assert merkle.root(LEAVES[:size]) == ROOTS[size - 1]


@pytest.mark.parametrize("good", MERKLE["inclusion"])
def test_their_inclusion_proofs_hold_and_are_made_alike(good: dict) -> None:
    proof, index, size = of_hex(good["proof"]), good["index"], good["size"]
    assert merkle.included(LEAVES[index], index, size, proof, ROOTS[size - 1])
    assert merkle.inclusion(LEAVES[:size], index) == proof


@pytest.mark.parametrize("good", MERKLE["consistency"])
def test_their_consistency_proofs_hold_and_are_made_alike(good: dict) -> None:
    proof, old, size = of_hex(good["proof"]), good["old"], good["size"]
    assert merkle.consistent(old, ROOTS[old - 1], size, ROOTS[size - 1], proof)
    assert merkle.consistency(LEAVES[:size], old) == proof


def flipped(proof: list[bytes], bit: int) -> Iterator[list[bytes]]:
    for at, digest in enumerate(proof):
        yield [*proof[:at], bytes([digest[0] ^ bit]) + digest[1:], *proof[at + 1 :]]


def wrong_inclusions() -> Iterator[tuple[bytes, int, int, list[bytes], bytes]]:
    for good in MERKLE["inclusion"]:
        proof, index, size = of_hex(good["proof"]), good["index"], good["size"]
        leaf, root = LEAVES[index], ROOTS[size - 1]
        for other in (index - 1, index + 1, index ^ 2):
            yield leaf, other, size, proof, root
        for other in (size * 2, size // 2):
            yield leaf, index, other, proof, root
        yield b"WrongLeaf", index, size, proof, root
        for other in (merkle.EMPTY, SOME):
            yield leaf, index, size, proof, other
        others = [[*proof, b""], [*proof, root], [b"", *proof], [root, *proof]]
        others += flipped(proof, 8)
        if proof:
            others.append(proof[:-1])
        if len(proof) > 1:
            others.append([proof[0], SOME, *proof[1:]])
        for other in others:
            yield leaf, index, size, other, root


def wrong_consistencies() -> Iterator[tuple[int, bytes, int, bytes, list[bytes]]]:
    for good in MERKLE["consistency"]:
        proof, old, size = of_hex(good["proof"]), good["old"], good["size"]
        before, root = ROOTS[old - 1], ROOTS[size - 1]
        if not proof:
            continue
        for other in (old - 1, old + 1, old ^ 2):
            yield other, before, size, root, proof
        for other in (size * 2, size // 2):
            yield old, before, other, root, proof
        yield old, b"WrongRoot", size, root, proof
        yield old, before, size, b"WrongRoot", proof
        yield old, root, size, before, proof
        ends = [b"", before, root]
        others = [[], *([*proof, end] for end in ends), *([end, *proof] for end in ends)]
        others += [[proof[0], *proof], proof[:-1], *flipped(proof, 16)]
        for other in others:
            yield old, before, size, root, other


def test_no_wrong_inclusion_proof_holds() -> None:
    wrong = list(wrong_inclusions())
    assert len(wrong) == 77
    assert [one for one in wrong if merkle.included(*one)] == []


def test_no_wrong_consistency_proof_holds() -> None:
    wrong = list(wrong_consistencies())
    assert len(wrong) == 79
    assert [one for one in wrong if merkle.consistent(*one)] == []


@pytest.mark.parametrize(
    "case",
    MERKLE["inclusion_cases"],
    ids=lambda case: f"{case['index']} of {case['size']}: {case['what']}",
)
def test_their_cases_of_inclusion_end_as_theirs(case: dict) -> None:
    leaf, root = bytes.fromhex(case["leaf"]), bytes.fromhex(case["root"])
    found = merkle.included(leaf, case["index"], case["size"], of_hex(case["proof"]), root)
    assert found is case["holds"]


@pytest.mark.parametrize("case", MERKLE["consistency_cases"], ids=lambda case: case["what"])
def test_their_cases_of_consistency_end_as_theirs(case: dict) -> None:
    before, root = bytes.fromhex(case["old_root"]), bytes.fromhex(case["root"])
    proof = of_hex(case["proof"])
    assert merkle.consistent(case["old"], before, case["size"], root, proof) is case["holds"]


# Ed25519: github.com/C2SP/wycheproof.

ED25519 = read("ed25519.json")


@pytest.mark.parametrize("case", ED25519["cases"], ids=lambda case: f"{case['id']}")
def test_signatures_hold_where_wycheproof_says_so(case: dict) -> None:
    key = note.VerifierKey("w", note.ED25519, bytes.fromhex(ED25519["key"]))
    signature = note.Signature("w", key.key_id, bytes.fromhex(case["signature"]))
    text = bytes.fromhex(case["message"]).decode()
    assert key.signed(text, signature) is case["valid"]


# C2SP: the examples of tlog-witness; those of the others stand in the tests of their parts.

WITNESS_EXAMPLE = (
    "old 20852014\n"
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
    "\n"
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URY"
    "N7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\u2014 example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum"
    "2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n"
)


def test_the_request_of_the_specification_is_read_and_written_as_it_is() -> None:
    found = request.parse(WITNESS_EXAMPLE)
    assert (found.old, len(found.proof), len(found.signed.signatures)) == (20_852_014, 4, 2)
    assert checkpoint.parse(found.signed.text).size == 20_852_163
    assert str(found) == WITNESS_EXAMPLE
