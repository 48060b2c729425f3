"""A witness never cosigns two trees of one size, nor a smaller one, and never forgets.

It is spoken to over real HTTP, and killed with SIGKILL where it hurts.
"""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import witnessing
from local_server import Answer, LocalServer
from witnessing import AT_S, LOG, ORIGIN, asked, leaves, signed

from reconciler.proof import checkpoints, note, policy, remote, request, troubles, witnesses
from reconciler.proof.checkpoint import Checkpoint
from reconciler.proof.cosigning import Cosigner
from reconciler.proof.publisher import Publisher
from reconciler.proof.request import Refusal, Request
from reconciler.proof.witness import Cosigned, Witness
from reconciler.web import server
from reconciler.web import witness as port
from reconciler.web.router import Router
from runner.contract import audit, clock, errors, merkle, settings

KEY = note.generate("w.example/1", note.COSIGNATURE)
TREE = leaves(20)


def witness(folder: Path, *keys: note.SigningKey) -> Witness:
    return Witness(keys or (KEY,), [LOG.verifier], folder / "witness.json")


def size_kept(folder: Path) -> int:
    last = witness(folder).last(ORIGIN)
    return last.size if last else 0


# What it decides.


@pytest.mark.parametrize(("old", "new"), [(0, 1), (0, 20), (1, 2), (7, 20), (8, 16), (20, 20)])
def test_a_tree_that_grew_is_cosigned(tmp_path: Path, old: int, new: int) -> None:
    asking = witness(tmp_path)
    if old:
        assert isinstance(asking.cosign(asked(TREE[:old]), AT_S), Cosigned)
    found = asking.cosign(asked(TREE[:new], old), AT_S)
    assert isinstance(found, Cosigned)
    made = note.parse(f"{signed(TREE[:new])}{found.lines}")
    assert note.cosigned_at(made, KEY.verifier) == AT_S


def refusal(request_: Request, last: list[bytes] | None) -> Refusal:
    before = Checkpoint(ORIGIN, len(last), merkle.root(last)) if last else None
    found = request.decide(request_, [LOG.verifier], before)
    assert isinstance(found, Refusal)
    return found


STRANGER = note.generate(ORIGIN)
OTHER = leaves(20, "other")


@pytest.mark.parametrize(
    ("wanted", "last", "status", "size"),
    [
        pytest.param(asked(TREE, origin="orloj/other"), None, 404, None, id="unknown-log"),
        pytest.param(asked(TREE, key=STRANGER), None, 403, None, id="unknown-key"),
        pytest.param(Request(21, (), signed(TREE)), None, 400, None, id="shrinking"),
        pytest.param(asked(TREE, 5), None, 409, 0, id="old-size-of-an-unknown-log"),
        pytest.param(asked(TREE, 5), TREE[:6], 409, 6, id="wrong-old-size"),
        pytest.param(asked(TREE[:5]), TREE[:6], 409, 6, id="smaller-tree"),
        pytest.param(asked(OTHER, 20), TREE, 409, 20, id="fork-of-one-size"),
        pytest.param(asked(OTHER, 5), TREE, 409, 20, id="fork-behind-a-wrong-old-size"),
        pytest.param(asked(OTHER, 5), TREE[:5], 422, None, id="fork-that-grew"),
        pytest.param(Request(5, (), signed(TREE)), TREE[:5], 422, None, id="no-proof"),
        pytest.param(
            Request(0, (TREE[0],), signed(TREE)), None, 422, None, id="a-proof-of-nothing"
        ),
        pytest.param(
            Request(20, (TREE[0],), signed(TREE)), TREE, 422, None, id="a-proof-of-the-same"
        ),
    ],
)
def test_what_does_not_go_on_is_refused(
    wanted: Request, last: list[bytes] | None, status: int, size: int | None
) -> None:
    found = refusal(wanted, last)
    assert (found.status, found.size) == (status, size)


def test_a_wrong_signature_by_the_log_is_none() -> None:
    of_another = note.Note(signed(TREE).text, signed(OTHER).signatures)
    assert refusal(Request(0, (), of_another), None).status == 403


def test_what_is_no_checkpoint_is_a_bad_request() -> None:
    assert (
        refusal(Request(0, (), note.Note("text\n", (LOG.sign("text\n"),))), None).status == 400
    )


def test_a_request_is_read_as_it_was_written() -> None:
    for made in (asked(TREE, 7), asked(TREE)):
        assert request.parse(str(made)) == made


GOOD = str(asked(TREE, 7))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="nothing"),
        pytest.param(GOOD.replace("old 7", "old 07"), id="leading-zero"),
        pytest.param(GOOD.replace("old 7", "old -7"), id="negative"),
        pytest.param(GOOD.replace("old 7", "7"), id="no-word"),
        pytest.param(GOOD.replace("\n", "\nAAAA\n", 1), id="short-hash"),
        pytest.param(GOOD.replace("\n", "\n" + "A" * 43 + "B\n", 1), id="no-base64"),
        pytest.param("old 7\n" + ("A" * 43 + "=\n") * 64 + f"\n{signed(TREE)}", id="64-hashes"),
        pytest.param("old 7\n\n", id="no-checkpoint"),
        pytest.param(GOOD + "x" * request.BYTES_MAX, id="too-long"),
    ],
)
def test_what_is_no_request_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        request.parse(content)


def test_two_logs_do_not_know_of_each_other(tmp_path: Path) -> None:
    second = note.generate("orloj/second")
    asking = Witness((KEY,), [LOG.verifier, second.verifier], tmp_path / "state")
    assert isinstance(asking.cosign(asked(TREE), AT_S), Cosigned)
    other = asked(OTHER[:3], key=second, origin="orloj/second")
    assert isinstance(asking.cosign(other, AT_S), Cosigned)
    assert [asking.last(name).size for name in (ORIGIN, "orloj/second")] == [20, 3]


def test_a_key_of_one_log_does_not_sign_for_another(tmp_path: Path) -> None:
    second = note.generate("orloj/second")
    asking = Witness((KEY,), [LOG.verifier, second.verifier], tmp_path / "state")
    found = asking.cosign(asked(TREE, origin="orloj/second"), AT_S)
    assert isinstance(found, Refusal)
    assert found.status == 403


def test_a_witness_with_two_keys_signs_with_both(tmp_path: Path) -> None:
    beside = note.generate("w.example/1", note.ML_DSA_44)
    found = witness(tmp_path, KEY, beside).cosign(asked(TREE), AT_S)
    assert isinstance(found, Cosigned)
    made = note.parse(f"{signed(TREE)}{found.lines}")
    assert note.verified(made, [KEY.verifier, beside.verifier]) == [
        KEY.verifier,
        beside.verifier,
    ]


# What it remembers.


def test_a_fork_is_kept_with_both_of_its_signatures(tmp_path: Path) -> None:
    asking = witness(tmp_path)
    asking.cosign(asked(TREE), AT_S)
    for _ in range(2):
        found = asking.cosign(asked(OTHER, 20), AT_S)
        assert isinstance(found, Refusal)
        assert found.fork
    (line,) = (tmp_path / "witness.json.forks").read_text().splitlines()
    notes = [note.parse(text) for text in json.loads(line)]
    assert [note.verified(one, [LOG.verifier]) for one in notes] == [[LOG.verifier]] * 2
    assert {one.text.split("\n")[1] for one in notes} == {"20"}
    assert notes[0].text != notes[1].text


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"a": 1}', '{"a": "b"}', json.dumps({"other": str(signed(TREE))})],
)
def test_a_state_that_cannot_be_read_is_not_taken_for_none(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "witness.json").write_text(content)
    with pytest.raises(errors.SettingsInvalid, match="nothing is cosigned"):
        witness(tmp_path).cosign(asked(TREE), AT_S)


def killed_at(number: int, folder: Path, wanted: Request) -> bool:
    """Cosign in a process of its own, killed at its n-th call to the system; whether it was.

    What it cosigned before, it has written to `answered`.
    """
    child = os.fork()
    if not child:
        calls = 0

        def strike(event: str, _arguments: object) -> None:
            nonlocal calls
            if event in {"open", "os.rename", "fcntl.flock", "os.listdir"}:
                calls += 1
                if calls == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        asking = witness(folder)
        sys.addaudithook(strike)
        found = asking.cosign(wanted, AT_S)
        descriptor = os.open(folder / "answered", os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, found.lines.encode() if isinstance(found, Cosigned) else b"")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_killed_at_any_call_it_knows_what_it_answered(tmp_path: Path) -> None:
    for number in range(1, 40):
        folder = tmp_path / str(number)
        folder.mkdir()
        witness(folder).cosign(asked(TREE[:5]), AT_S)
        was_killed = killed_at(number, folder, asked(TREE[:9], 5))
        kept = size_kept(folder)
        assert kept in (5, 9), "half of a state was left"
        if (folder / "answered").exists():
            assert kept == 9, "it answered, and forgot"
        again = witness(folder).cosign(asked(OTHER[:9], kept), AT_S)
        assert isinstance(again, Refusal)
        if not was_killed:
            break
    assert number > 5, "nothing was struck"
    assert kept == 9


# Over HTTP.


class Serving:
    """A witness at a port, in this process or as `orloj audit witness serve`."""

    def __init__(self, number: int) -> None:
        self.number = number

    def post(self, body: str | bytes, path: str = port.PATH) -> tuple[int, str, str]:
        """Status, body and content type of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.number, timeout=20)
        try:
            connection.request("POST", path, body.encode() if isinstance(body, str) else body)
            answered = connection.getresponse()
            kind = answered.headers["Content-Type"]
            return answered.status, answered.read().decode(), kind
        finally:
            connection.close()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    route = port.route(witness(tmp_path), lambda: clock.now_us() // 1_000_000)
    listening = server.Server("127.0.0.1", 0, Router([route]))
    listening.start()
    yield Serving(listening.port)
    listening.stop()


def test_a_log_is_answered_as_the_specification_says(serving: Serving) -> None:
    status, lines, _ = serving.post(str(asked(TREE[:7])))
    assert status == 200
    cosigned = note.parse(f"{signed(TREE[:7])}{lines}")
    assert note.verified(cosigned, [KEY.verifier]) == [KEY.verifier]
    assert serving.post(str(asked(TREE, 3))) == (409, "7\n", "text/x.tlog.size")
    assert serving.post(str(asked(OTHER, 7)))[0] == 422
    assert serving.post(str(asked(OTHER[:7], 7))) == (409, "7\n", "text/x.tlog.size")
    assert serving.post(str(asked(TREE, 7, key=STRANGER)))[0] == 403
    assert serving.post(str(asked(TREE, 7, origin="orloj/other")))[0] == 404
    assert serving.post(str(asked(TREE, 7)))[0] == 200
    assert serving.post(str(asked(TREE[:7], 7)))[:2] == (409, "20\n")


def test_what_is_no_request_is_a_bad_one(serving: Serving) -> None:
    assert serving.post("old x\n")[0] == 400
    assert serving.post(b"\xff\xfe")[0] == 400
    assert serving.post("x" * (server.BODY_BYTES_MAX + 1))[0] == 413
    assert serving.post("", "/other")[0] == 404


def test_of_many_at_once_each_size_is_cosigned_for_one_log_only(serving: Serving) -> None:
    """The race of the specification: two that go on from one tree, and are not one log."""
    assert serving.post(str(asked(TREE[:5])))[0] == 200
    bodies = [str(asked(TREE[:5] + leaves(10, str(at)), 5)) for at in range(12)]
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda body=body: found.append(serving.post(body)[0]))
        for body in bodies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200] + [409] * 11


# As processes.


def started(folder: Path, number: int = 0) -> tuple[subprocess.Popen[str], Serving]:
    (folder / "log.vkey").write_text(f"{LOG.verifier}\n")
    words = ["audit", "witness", "serve", "--listen", f"127.0.0.1:{number}"]
    words += ["--key", folder / "w.key", "--state", folder / "witness.json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", *map(str, words), "--log", folder / "log.vkey"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = json.loads(process.stderr.readline())
    assert said["action"] == "witness_listening"
    return process, Serving(said["port"])


def test_killed_while_it_answers_it_goes_on_from_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "w.key").write_text(f"{KEY.secret}\n")
    (tmp_path / "w.key").chmod(0o600)
    tree, answered = leaves(400), 0
    for answers in (1, 4, 9):
        process, serving = started(tmp_path)
        assert size_kept(tmp_path) >= answered
        answered = size_kept(tmp_path)
        try:
            for _ in range(answers):
                assert serving.post(str(asked(tree[: answered + 1], answered)))[0] == 200
                answered += 1
            # Struck while it works on one: it may have been written, and it may not.
            body = str(asked(tree[: answered + 1], answered))
            last = threading.Thread(target=_until_gone, args=(serving, body))
            last.start()
        finally:
            process.kill()
            process.communicate()
        last.join()
        assert size_kept(tmp_path) in (answered, answered + 1)
        found = witness(tmp_path).cosign(asked(OTHER[:1]), AT_S)
        assert isinstance(found, Refusal)
    process, _ = started(tmp_path)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert json.loads(said.splitlines()[-1])["action"] == "witness_stopped"


def _until_gone(serving: Serving, body: str) -> None:
    try:
        serving.post(body)
    except OSError:
        return


# What the log's side makes of it.


def answering(tmp_path: Path, number: int, key: note.SigningKey = KEY) -> policy.Policy:
    return policy.parse(
        f"witness w {key.verifier} http://127.0.0.1:{number}/\nquorum w\n", "policy"
    )


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[witnessing.StoredLog]:
    made = witnessing.StoredLog(tmp_path / "log")
    yield made
    made.close()


@pytest.fixture
def witnessed(tmp_path: Path, stored: witnessing.StoredLog) -> Iterator[Serving]:
    """A witness that watches the stored log."""
    stored.grow(3)
    watching = Witness((KEY,), [note.parse_verifier(stored.vkey)], tmp_path / "of-log.json")
    listening = server.Server("127.0.0.1", 0, Router([port.route(watching, lambda: AT_S)]))
    listening.start()
    yield Serving(listening.port)
    listening.stop()


def test_a_checkpoint_gets_the_cosignatures_of_its_policy(
    tmp_path: Path, stored: witnessing.StoredLog, witnessed: Serving
) -> None:
    wanted = answering(tmp_path, witnessed.number)
    asking = Cosigner(stored.database, wanted)
    for count in (5, 300, 1):
        made = stored.grow(count)
        assert not policy.satisfied(made.note, wanted)
        found = asking.cosigned(made.note)
        assert policy.satisfied(found.signed, wanted), found.replies
    # One that starts anew asks what the witness knows, and goes on from there.
    found = Cosigner(stored.database, wanted).cosigned(stored.grow(2).note)
    assert policy.satisfied(found.signed, wanted)


def test_a_fork_is_named_to_the_log_and_by_the_witness(
    tmp_path: Path, stored: witnessing.StoredLog, witnessed: Serving
) -> None:
    """Two databases that go their own ways under one name and one key."""
    stored.database.close()
    shutil.copytree(stored.folder, tmp_path / "copy")
    first, second = witnessing.StoredLog(stored.folder), witnessing.StoredLog(tmp_path / "copy")
    wanted = answering(tmp_path, witnessed.number)
    try:
        told = Cosigner(first.database, wanted).cosigned(first.grow(4, "one story").note)
        assert policy.satisfied(told.signed, wanted)
        # Of the same size: both are signed, which is proof.
        forked = Cosigner(second.database, wanted).cosigned(second.grow(4, "another").note)
        assert [reply.fork for reply in forked.replies] == [True]
        assert "another log of this name" in forked.problems[0].problem
        (line,) = (tmp_path / "of-log.json.forks").read_text().splitlines()
        assert len({note.parse(text).text for text in json.loads(line)}) == 2
        # Grown beyond: it does not go on from what was cosigned.
        grown = Cosigner(second.database, wanted).cosigned(second.grow(3, "another").note)
        assert [reply.fork for reply in grown.replies] == [True]
        assert not policy.satisfied(grown.signed, wanted)
    finally:
        first.close()
        second.close()


def test_a_log_put_back_to_an_old_copy_is_told(
    tmp_path: Path, stored: witnessing.StoredLog, witnessed: Serving
) -> None:
    wanted = answering(tmp_path, witnessed.number)
    old = stored.grow(2)
    new = stored.grow(2)
    assert not Cosigner(stored.database, wanted).cosigned(new.note).problems
    (reply,) = Cosigner(stored.database, wanted).cosigned(old.note).replies
    assert reply.fork
    assert "saw 7 entries" in reply.problem


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(Answer(200, b""), "no cosignature", id="empty"),
        pytest.param(Answer(200, b"\xff" * 70_000), "no cosignature", id="garbage"),
        pytest.param(
            Answer(200, f"{KEY.sign(signed(TREE).text, AT_S).line}\n".encode()),
            "no cosignature",
            id="of-another-text",
        ),
        pytest.param(Answer(500, b"no"), "it answered 500: no", id="broken"),
        pytest.param(Answer(409, b"x"), "it answered 409: x", id="a-size-that-is-none"),
        pytest.param(Answer(302, headers={"Location": "/"}), "it answered 302", id="moved"),
        pytest.param(Answer(409, b"0\n"), "it answered 409: 0", id="never-content"),
    ],
)
def test_what_a_witness_answers_is_not_believed(
    tmp_path: Path, stored: witnessing.StoredLog, answer: Answer, problem: str
) -> None:
    made = stored.grow(1)
    with LocalServer(lambda _request: answer).running() as lying:
        found = Cosigner(stored.database, answering(tmp_path, lying.port)).cosigned(made.note)
    assert found.signed == made.note
    assert problem in found.problems[0].problem
    assert len(lying.received) <= 2


def test_a_witness_that_is_gone_holds_nobody_up(
    tmp_path: Path, stored: witnessing.StoredLog, witnessed: Serving
) -> None:
    gone = note.generate("w.example/2", note.COSIGNATURE)
    with LocalServer(lambda _request: Answer()).running() as closed:
        number = closed.port
    wanted = policy.parse(
        f"witness a {gone.verifier} http://127.0.0.1:{number}\n"
        f"witness b {KEY.verifier} http://127.0.0.1:{witnessed.number}\n"
        "group one any a b\nquorum one\n",
        "policy",
    )
    found = Cosigner(stored.database, wanted).cosigned(stored.grow(1).note)
    assert policy.satisfied(found.signed, wanted)
    assert [reply.witness for reply in found.problems] == ["a"]


def test_a_witness_is_not_asked_without_encryption_over_the_network(
    stored: witnessing.StoredLog,
) -> None:
    wanted = policy.parse(f"witness w {KEY.verifier} http://192.0.2.1/\nquorum w\n", "policy")
    (reply,) = Cosigner(stored.database, wanted).cosigned(stored.grow(1).note).replies
    assert "https" in reply.problem


# What is published.


def published(folder: Path) -> note.Note:
    refs = git(folder, "for-each-ref", "--format=%(refname)", "refs/audit").split()
    assert len(refs) == 1
    return note.parse(git(folder, "show", f"{refs[0]}:checkpoint"))


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def publisher(tmp_path: Path, stored: witnessing.StoredLog, witnessed: Serving) -> Publisher:
    """One that publishes in `remote`, and asks the witness of a policy."""
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "remote"], check=True)
    text = f"witness w {KEY.verifier} http://127.0.0.1:{witnessed.number}\nquorum w\n"
    (stored.folder / "witnesses").write_text(text)
    (stored.folder / "orloj.toml").write_text(
        f'[audit]\nremote = "{tmp_path / "remote"}"\npolicy = "witnesses"\n'
    )
    found = settings.load(stored.folder, {})
    place = remote.place(found)
    assert place is not None
    return Publisher(found, stored.database, place)


def troubles_of(stored: witnessing.StoredLog) -> list[str]:
    with stored.database.read() as connection:
        return [one.reason for one in troubles.standing(connection).values()]


def test_what_is_published_was_cosigned_before(
    tmp_path: Path, stored: witnessing.StoredLog, publisher: Publisher
) -> None:
    for count in (2, 3):
        size = stored.grow(count).checkpoint.size
        publisher.publish()
        shown = published(tmp_path / "remote")
        assert shown.text.split("\n")[1] == str(size)
        assert note.cosigned_at(shown, KEY.verifier) == AT_S
        with stored.database.read() as connection:
            kept = checkpoints.newest(connection)
        assert kept is not None
        assert kept.note == str(shown)
    assert troubles_of(stored) == []


def test_a_witness_that_is_away_is_told_and_stops_no_publication(
    tmp_path: Path, stored: witnessing.StoredLog, publisher: Publisher
) -> None:
    policy_file = stored.folder / "witnesses"
    text = policy_file.read_text()
    policy_file.write_text(re.sub(r":[0-9]+\n", ":1\n", text))
    publisher.publish()
    assert note.cosigned_at(published(tmp_path / "remote"), KEY.verifier) is None
    assert troubles_of(stored) == [witnesses.AWAY]
    policy_file.write_text("quorum w\n")
    stored.grow(1)
    publisher.publish()
    assert troubles_of(stored) == [witnesses.UNUSABLE]
    policy_file.write_text(text)
    stored.grow(1)
    publisher.publish()
    assert note.cosigned_at(published(tmp_path / "remote"), KEY.verifier) == AT_S
    assert troubles_of(stored) == []


def test_a_witness_of_another_log_raises_an_alarm_in_the_log(
    tmp_path: Path, stored: witnessing.StoredLog, publisher: Publisher
) -> None:
    with stored.database.read() as connection:
        origin = audit.name(connection)
    signer = note.parse_signer((stored.folder / "audit.key").read_text())
    watching = Witness((KEY,), [signer.verifier], tmp_path / "of-log.json")
    other = asked(leaves(9), key=signer, origin=origin)
    assert isinstance(watching.cosign(other, AT_S), Cosigned)
    publisher.publish()
    assert troubles_of(stored) == [witnesses.FORK]
    with stored.database.read() as connection:
        alarms = list(audit.read(connection, type_prefix="log.broken"))
    assert "saw 9 entries of this log, and here it has 3" in alarms[0].fields["reason"]


def test_what_is_published_is_signed_with_ml_dsa_too(
    tmp_path: Path, stored: witnessing.StoredLog, publisher: Publisher
) -> None:
    publisher.publish()
    ref = git(tmp_path / "remote", "for-each-ref", "--format=%(refname)").strip()
    vkey = git(tmp_path / "remote", "show", f"{ref}:keys/ml-dsa-44.vkey")
    second, first = note.parse_verifier(vkey), note.parse_verifier(stored.vkey)
    shown = published(tmp_path / "remote")
    assert note.verified(shown, [first, second]) == [first, second]
    vouched = note.parse(git(tmp_path / "remote", "show", f"{ref}:keys/ml-dsa-44.note"))
    assert note.verified(vouched, [first]) == [first]
    assert vouched.text.endswith(f"\n{second}\n")
    assert (stored.folder / "audit-ml-dsa.key").stat().st_mode & 0o777 == 0o600
    stored.grow(1)
    publisher.publish()
    assert note.cosigned_at(published(tmp_path / "remote"), second) is not None


def test_a_log_may_leave_ml_dsa_out(
    tmp_path: Path, stored: witnessing.StoredLog, publisher: Publisher
) -> None:
    with (stored.folder / "orloj.toml").open("a") as opened:
        opened.write("ml_dsa = false\n")
    found = settings.load(stored.folder, {})
    place = remote.place(found)
    assert place is not None
    Publisher(found, stored.database, place).publish()
    assert len(published(tmp_path / "remote").signatures) == 2
    assert not (stored.folder / "audit-ml-dsa.key").exists()


def test_the_second_key_of_another_log_does_not_sign(
    tmp_path: Path, stored: witnessing.StoredLog, publisher: Publisher
) -> None:
    file = stored.folder / "audit-ml-dsa.key"
    for key in (note.generate("orloj/other", note.ML_DSA_44), LOG):
        file.write_text(key.secret)
        file.chmod(0o600)
        with pytest.raises(errors.SettingsInvalid, match="not the ML-DSA-44 key of the log"):
            publisher.publish()


def test_a_witness_in_ci_needs_nothing_but_the_repository(
    tmp_path: Path, stored: witnessing.StoredLog, publisher: Publisher
) -> None:
    (stored.folder / "witnesses").write_text("quorum none\n")
    for count in (300, 1, 50):
        publisher.publish()
        stored.grow(count)
    publisher.publish()
    watching = Witness((KEY,), [note.parse_verifier(stored.vkey)], tmp_path / "ci.json")
    folder = tmp_path / "remote"
    sizes = []
    for commit in git(folder, "rev-list", "--reverse", "--all").split():
        text = git(folder, "show", f"{commit}:growth") + git(
            folder, "show", f"{commit}:checkpoint"
        )
        found = watching.cosign(request.parse(text), AT_S)
        assert isinstance(found, Cosigned)
        sizes.append(found.checkpoint.size)
    assert sizes == [3, 303, 304, 354]
