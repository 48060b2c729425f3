"""A checkpoint counts when a log of the policy signed it and a quorum cosigned it, else not."""

import pytest

from reconciler.proof import checkpoint, note, policy
from runner.contract import merkle

AT_S = 1_790_000_000
LOG = note.generate("example.com/log")
BESIDE = note.generate("example.com/log", note.ML_DSA_44)
KEYS = {
    name: note.generate(f"w.example/{name}", note.COSIGNATURE)
    for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")
}
TEXT = checkpoint.Checkpoint("example.com/log", 7, merkle.leaf(b"")).text
WITNESSES = "".join(f"witness {name} {key.verifier}\n" for name, key in KEYS.items())
# The example of c2sp.org/tlog-policy, with keys.
EXAMPLE = f"""log {LOG.verifier}

{WITNESSES}
group X-witnesses 2 X1 X2 X3
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def cosigned(*names: str, signer: note.SigningKey = LOG) -> note.Note:
    by_log = signer.sign(TEXT, AT_S if signer.type == note.ML_DSA_44 else None)
    return note.Note(TEXT, (by_log, *(KEYS[name].sign(TEXT, AT_S) for name in names)))


@pytest.mark.parametrize(
    ("names", "met"),
    [
        ("X1 X2 Y1", True),
        ("X2 X3 Y3", True),
        ("X1 X2 X3 Y1 Y2 Y3", True),
        ("X1 X2 X3", False),
        ("X1 Y1 Y2 Y3", False),
        ("Y1", False),
        ("", False),
    ],
)
def test_the_quorum_of_the_example_is_two_of_x_and_one_of_y(names: str, met: bool) -> None:
    read = policy.parse(EXAMPLE, "policy")
    made = cosigned(*names.split())
    assert policy.satisfied(made, read) is met
    assert policy.cosigners(made, read) == names.split()


def test_a_quorum_without_the_log_counts_for_nothing() -> None:
    read = policy.parse(EXAMPLE, "policy")
    stranger = note.generate("example.com/log")
    assert not policy.satisfied(cosigned("X1", "X2", "Y1", signer=stranger), read)


def test_a_cosignature_of_another_checkpoint_counts_for_nothing() -> None:
    read = policy.parse(f"{WITNESSES}quorum X1\n", "policy")
    other = TEXT.replace("\n7\n", "\n8\n")
    made = note.Note(TEXT, (LOG.sign(TEXT), KEYS["X1"].sign(other, AT_S)))
    assert not policy.satisfied(made, read)
    assert policy.satisfied(cosigned("X1"), read)


def test_a_witness_that_cosigned_twice_counts_once() -> None:
    read = policy.parse(f"{WITNESSES}group two 2 X1 X2\nquorum two\n", "policy")
    assert not policy.satisfied(cosigned("X1", "X1"), read)


def test_one_wrong_cosignature_does_not_spoil_a_quorum_of_others() -> None:
    read = policy.parse(f"log {LOG.verifier}\n{WITNESSES}quorum X1\n", "policy")
    wrong = KEYS["X2"].sign(TEXT.replace("\n7\n", "\n8\n"), AT_S)
    made = cosigned("X1")
    assert policy.satisfied(note.Note(TEXT, (*made.signatures, wrong)), read)


def test_a_log_may_sign_with_either_of_its_keys() -> None:
    read = policy.parse(f"log {LOG.verifier}\nlog {BESIDE.verifier}\nquorum none\n", "policy")
    assert policy.satisfied(cosigned(signer=BESIDE), read)
    assert policy.satisfied(cosigned(), read)


def test_nobody_is_asked_for_by_quorum_none() -> None:
    assert policy.satisfied(cosigned(), policy.parse("quorum none", "policy"))


def test_what_is_no_checkpoint_satisfies_nothing() -> None:
    text = "no checkpoint\n"
    read = policy.parse("quorum none\n", "policy")
    assert not policy.satisfied(note.Note(text, (LOG.sign(text),)), read)


def test_comments_blanks_tabs_and_addresses_are_read() -> None:
    read = policy.parse(
        f"  # a comment\n\t\n \tlog\t{LOG.verifier}  https://log.example/\n"
        f"witness ö {KEYS['X1'].verifier} https://w.example/x1\nquorum  ö ",
        "policy",
    )
    assert read.witnesses == (policy.Witness("ö", KEYS["X1"].verifier, "https://w.example/x1"),)
    assert read.keys_of("example.com/log") == (LOG.verifier,)
    assert read.keys_of("example.com/other") == ()


X1 = f"witness X1 {KEYS['X1'].verifier}\n"
RENAMED = note.VerifierKey("w.example/other", note.COSIGNATURE, KEYS["X1"].verifier.public)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "p:1: no quorum"),
        ("log\nquorum none", "p:1: write `log"),
        ("logs x\nquorum none", "p:1: 'logs' is none of"),
        ("quorum none\nlog name+00000000+AQ==", "p:2: neither"),
        (f"log {KEYS['X1'].verifier}", "p:1: this key signs no log"),
        (f"witness X {LOG.verifier}", "p:1: this key cosigns nothing"),
        (f"log {LOG.verifier}\nlog {LOG.verifier}", "p:2: a log with this key"),
        (f"{X1}witness X2 {RENAMED}", "p:2: a witness with this key"),
        (f"{X1}witness X1 {KEYS['X2'].verifier}", "p:2: X1 is defined already"),
        (f"{X1}group X1 any X1", "p:2: X1 is defined already"),
        (f"witness none {KEYS['X1'].verifier}", "p:1: `none`"),
        ("witness X", "p:1: write `witness"),
        (f"{X1}group g any X1\ngroup h any X1", "p:3: X1 is a member already"),
        (f"{X1}group g any X1 X1", "p:2: X1 is a member already"),
        (f"group g any X1\n{X1}", "p:1: X1 is defined on no line before"),
        ("group g any g", "p:1: g is defined on no line before"),
        (f"{X1}group g any none", "p:2: none is defined on no line"),
        (f"{X1}group g 2 X1", "p:2: '2' is none of"),
        (f"{X1}group g 0 X1", "p:2: '0' is none of"),
        (f"{X1}group g 01 X1", "p:2: '01' is none of"),
        (f"{X1}group g all", "p:2: write `group"),
        ("quorum X1", "p:1: X1 is defined on no line before"),
        ("quorum none\nquorum none", "p:2: there is a quorum line already"),
        ("quorum", "p:1: write `quorum"),
        ("quorum none\r", "p:1: a control character"),
        ("\n" * policy.LINES_MAX + "quorum none", "more than"),
    ],
    ids=range(26),  # Keys are made anew, and every process must call a test the same.
)
def test_what_is_wrong_is_named_with_its_line(content: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^p:") as caught:
        policy.parse(content, "p")
    assert problem in str(caught.value)


def test_thirty_two_of_each_are_no_trouble() -> None:
    lines = [
        f"witness w{at} {note.generate(f'w.example/{at}', note.COSIGNATURE).verifier}"
        for at in range(32)
    ]
    lines += [f"log {note.generate(f'l.example/{at}').verifier}" for at in range(32)]
    lines += [f"group g{at} any w{at}" for at in range(31)]
    lines += ["group all all " + " ".join(f"g{at}" for at in range(31)), "quorum all"]
    assert len(policy.parse("\n".join(lines), "p").groups) == 32
