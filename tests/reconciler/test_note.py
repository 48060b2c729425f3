"""Notes and checkpoints are those of C2SP, and what is not signed as said is rejected."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reconciler.proof import checkpoint, note
from runner.contract import merkle

# The worked example of c2sp.org/signed-note.
POEM = (
    "Ognuno sta solo sul cuor della terra\n"
    "trafitto da un raggio di sole:\n"
    "\n"
    "ed è subito sera.\n"
    "\n"
    "\u2014 quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKO"
    "NrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)
# That of c2sp.org/tlog-checkpoint.
CHECKPOINT = (
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URY"
    "N7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)


def key(name: str = "example.com/log") -> note.SigningKey:
    return note.SigningKey(name, Ed25519PrivateKey.from_private_bytes(bytes(32)))


def signed(text: str, *keys: note.SigningKey) -> note.Note:
    return note.Note(text, tuple(one.sign(text) for one in keys))


@pytest.mark.parametrize("example", [POEM, CHECKPOINT], ids=["poem", "checkpoint"])
def test_the_examples_of_the_specification_are_read_and_written_as_they_are(
    example: str,
) -> None:
    read = note.parse(example)
    assert str(read) == example
    assert len(read.signatures) == 1


def test_an_empty_line_belongs_to_the_text() -> None:
    assert note.parse(POEM).text.endswith("sole:\n\ned è subito sera.\n")


def test_the_checkpoint_of_the_specification_says_its_three_things() -> None:
    found = checkpoint.parse(note.parse(CHECKPOINT).text)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert found.root.hex().startswith("0ac5186a")
    assert found.text == note.parse(CHECKPOINT).text


def test_a_signature_is_verified_by_the_key_that_made_it() -> None:
    made = signed("text\n", key())
    verifier = note.parse_verifier(str(key().verifier))
    assert note.verified(note.parse(str(made)), [verifier]) == [verifier]


def test_a_signature_by_a_key_that_is_not_known_counts_for_nothing() -> None:
    made = signed("text\n", key("example.com/other"))
    assert note.verified(made, [key().verifier]) == []


def test_one_wrong_signature_by_a_known_key_rejects_the_note() -> None:
    good = signed("text\n", key())
    for bad in (
        note.Note("other\n", good.signatures),
        note.Note(
            "text\n",
            (note.Signature(key().name, key().verifier.key_id, b"short"),),
        ),
    ):
        with pytest.raises(ValueError, match="not of this text"):
            note.verified(bad, [key().verifier])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="nothing"),
        pytest.param("text\n", id="no-signature"),
        pytest.param("text\n\n", id="no-line"),
        pytest.param(POEM[:-1], id="no-newline-at-the-end"),
        pytest.param(POEM.replace("\u2014", "-"), id="a-hyphen"),
        pytest.param(POEM.replace("Nnug", "N!ug"), id="no-base64"),
        pytest.param(POEM.replace("quasimodo.example", "quasi+modo"), id="plus-in-a-name"),
        pytest.param(POEM.replace("sole", "so\tle"), id="control-character"),
        pytest.param("text\n\n\u2014 name AAAA\n", id="shorter-than-an-id"),
        pytest.param("text\n\n" + "\u2014 name AAAAAAAA\n" * 101, id="too-many"),
        pytest.param("x" * (1 << 20) + POEM, id="too-long"),
    ],
)
def test_what_is_no_note_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        note.parse(content)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("log\n1\n", id="two-lines"),
        pytest.param("log\n01\n" + "A" * 43 + "=\n", id="leading-zero"),
        pytest.param("log\n-1\n" + "A" * 43 + "=\n", id="negative"),
        pytest.param("log\n1\nAAAA\n", id="short-root"),
        pytest.param("log\n1\n" + "A" * 42 + "B=\n", id="base64-with-loose-bits"),
        pytest.param("log\n1\n" + "A" * 43 + "=\n\n", id="empty-line"),
        pytest.param("\n1\n" + "A" * 43 + "=\n", id="no-origin"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        checkpoint.parse(text)


def test_extension_lines_are_passed_over() -> None:
    text = checkpoint.Checkpoint("log", 0, merkle.EMPTY).text + "more\n"
    assert checkpoint.parse(text).size == 0


@pytest.mark.parametrize("vkey", ["", "name", "name+00000000", "name+00000000+AQ=="])
def test_what_is_no_key_is_refused(vkey: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        note.parse_verifier(vkey)


def test_a_key_under_the_id_of_another_is_refused() -> None:
    vkey = str(key().verifier)
    name, id, encoded = vkey.split("+", 2)
    with pytest.raises(ValueError, match="id"):
        note.parse_verifier(f"{name}+{'0' * len(id)}+{encoded}")
