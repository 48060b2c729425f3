"""A cosignature says which checkpoint a witness saw, and when: nothing can be exchanged."""

import base64

import pytest

from reconciler.proof import checkpoint, cosignature, note
from runner.contract import merkle

# The worked example of c2sp.org/tlog-cosignature: a checkpoint, its log and its witness.
EXAMPLE = (
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URY"
    "N7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dl"
    "rDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
AT_S = 1_790_000_000
TEXT = checkpoint.Checkpoint("example.com/log", 7, merkle.leaf(b"")).text
TYPES = pytest.mark.parametrize(
    "type", [note.COSIGNATURE, note.ML_DSA_44], ids=["ed25519", "ml-dsa-44"]
)


def test_the_example_of_the_specification_says_when_it_was_made() -> None:
    read = note.parse(EXAMPLE)
    assert str(read) == EXAMPLE
    at_s, signature = cosignature.split(read.signatures[1].value)
    assert (at_s, len(signature)) == (1_679_315_147, 64)


def test_the_message_of_the_specification_is_what_is_signed() -> None:
    assert cosignature.ed25519_message(note.parse(EXAMPLE).text, 1_679_315_147) == (
        b"cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )


def test_the_message_for_ml_dsa_is_the_structure_of_the_specification() -> None:
    root = base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    message = cosignature.ml_dsa_message("w.example/1", note.parse(EXAMPLE).text, 5)
    assert message == (
        b"subtree/v1\n\x00"
        b"\x0bw.example/1"
        b"\x00\x00\x00\x00\x00\x00\x00\x05"
        b"\x1bexample.com/behind-the-sofa"
        b"\x00\x00\x00\x00\x00\x00\x00\x00"
        b"\x00\x00\x00\x00\x01\x3e\x2d\xc3" + root
    )


@TYPES
def test_what_a_witness_cosigned_is_verified_and_says_when(type: int) -> None:
    key = note.generate("w.example/1", type)
    made = note.parse(str(note.Note(TEXT, (key.sign(TEXT, AT_S),))))
    verifier = note.parse_verifier(str(key.verifier))
    assert note.verified(made, [verifier]) == [verifier]
    assert note.cosigned_at(made, verifier) == AT_S


@TYPES
def test_no_other_text_time_or_name_is_cosigned_by_it(type: int) -> None:
    key = note.generate("w.example/1", type)
    made = key.sign(TEXT, AT_S)
    other_time = cosignature.joined(AT_S + 1, cosignature.split(made.value)[1])
    grown = TEXT.replace("\n7\n", "\n8\n")
    for text, value in (
        (grown, made.value),
        (TEXT.replace("example.com", "example.org"), made.value),
        (TEXT, other_time),
        (TEXT, made.value[:-1]),
        (TEXT, made.value[:8]),
        (TEXT, b"\xff" + made.value[1:]),
        ("no checkpoint\n", made.value),
    ):
        assert not key.verifier.signed(text, note.Signature(key.name, b"", value))


def test_a_witness_cannot_be_renamed_under_ml_dsa() -> None:
    key = note.generate("w.example/1", note.ML_DSA_44)
    renamed = note.VerifierKey("w.example/2", note.ML_DSA_44, key.verifier.public)
    assert not renamed.signed(TEXT, key.sign(TEXT, AT_S))


def test_a_plain_signature_is_no_cosignature_of_the_same_key() -> None:
    plain = note.generate("w.example/1")
    cosigning = note.SigningKey(plain.name, plain.private, note.COSIGNATURE)
    assert plain.verifier.key_id != cosigning.verifier.key_id
    assert not cosigning.verifier.signed(TEXT, plain.sign(TEXT))
    assert not plain.verifier.signed(TEXT, cosigning.sign(TEXT, AT_S))


def test_signatures_of_all_types_stand_side_by_side() -> None:
    log, beside = note.generate("example.com/log"), note.generate("example.com/log", 6)
    witness = note.generate("w.example/1", note.COSIGNATURE)
    unknown = note.Signature("w.example/9", b"\x01\x02\x03\x04", b"of a type nobody knows")
    made = note.Note(
        TEXT, (log.sign(TEXT), beside.sign(TEXT, AT_S), unknown, witness.sign(TEXT, AT_S))
    )
    keys = [log.verifier, beside.verifier, witness.verifier]
    assert note.verified(note.parse(str(made)), keys) == keys
    assert note.verified(note.parse(str(made)), keys[2:]) == keys[2:]
    assert note.cosigned_at(made, log.verifier) is None


@pytest.mark.parametrize("type", [1, 4, 6])
def test_a_key_is_read_as_it_was_written(type: int) -> None:
    key = note.generate("w.example/1", type)
    read = note.parse_signer(key.secret)
    assert (read.secret, read.verifier, read.type) == (key.secret, key.verifier, type)
    assert note.parse_verifier(str(key.verifier)) == key.verifier


@pytest.mark.parametrize("type", [0, 2, 5, 0xFF])
def test_a_key_of_a_type_that_we_do_not_know_is_refused(type: int) -> None:
    vkey = note.VerifierKey("w.example/1", type, bytes(32))
    with pytest.raises(ValueError, match="neither"):
        note.parse_verifier(str(vkey))


def test_a_key_cannot_be_called_what_no_note_can_hold() -> None:
    with pytest.raises(ValueError, match="no space"):
        note.generate("a witness")


def test_a_name_too_long_for_the_message_cannot_be_cosigned() -> None:
    with pytest.raises(ValueError, match="255 bytes"):
        note.generate("w" * 256, note.ML_DSA_44).sign(TEXT, AT_S)
