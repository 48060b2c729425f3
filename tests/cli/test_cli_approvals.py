"""Who approves is known, did not write the rule, and was shown exactly what they approve.

The rules come from a real repository, so that Git says who wrote them; signatures are made
and verified by the real ssh-keygen.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from home import Home
from repository import Repository

from runner.contract import clock, settings

ME = settings.person()
CARL = "carl@example.com"  # Whom the repository's commits are committed by.
TEXTS = {
    "escape": "\x1b[2J\x1b]0;title\x07",
    "right to left": "safe\u202egnp.exe",
    "line": "one\ntwo\u2028three",
    "long": "x" * 20_000 + "END",
}


def agent(calls: Any, rule: str = "write: tickets") -> str:
    script = json.dumps({"clerk": [{"calls": calls}, {"reply": "done"}]})
    return f"""apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata: {{name: default}}
spec: {{provider: mock, default_model: m, script: {script}}}
---
apiVersion: orloj.dev/v1
kind: Tool
metadata: {{name: tickets}}
spec:
  type: http
  endpoint: http://127.0.0.1:9
  requires:
    - write: tickets
---
apiVersion: orloj.dev/v1
kind: Agent
metadata: {{name: clerk}}
spec:
  model: m
  tools:
    - name: tickets
      permissions:
        - write: tickets
  governance:
    requireApproval:
      - {rule}
"""


def approver(name: str, email: str, user: str | None = None, keys: tuple[str, ...] = ()) -> str:
    spec = {"emails": [email], "user": user, "keys": list(keys)}
    spec = {key: value for key, value in spec.items() if value}
    return (
        "apiVersion: orloj.dev/v1\nkind: Approver\n"
        f"metadata: {{name: {name}}}\nspec: {json.dumps(spec)}\n"
    )


class Office:
    """A home that follows a repository, and a task of it that waits for a person."""

    def __init__(self, home: Home, folder: Path, orloj: Any) -> None:
        self.home, self.folder, self.orloj = home, folder, orloj
        self.repository = Repository(folder)
        (home.folder / "orloj.toml").write_text(
            f'[source]\nurl = "{self.repository.url}"\npath = "team"\n'
        )

    def push(self, files: dict[str, str], message: str = "Change it", **more: Any) -> None:
        for name, text in files.items():
            self.repository.write(f"team/{name}.yaml", text)
        self.repository.commit(message, **more)
        self.repository.push()

    def apply(self) -> None:
        done = self.orloj("reconcile")
        assert done.code == 0, done.err

    def request(self, arguments: Any = None) -> str:
        """Apply what was pushed, and run the agent until it waits."""
        self.apply()
        done = self.orloj("run", "clerk", "--detach", "--json")
        task = json.loads(done.out)["id"]
        with self.home.runner(workers=1):
            self.home.wait([task], {"waiting_approval"})
        ((id,),) = self.home.rows("SELECT id FROM approval WHERE task_id = ?", task)
        return str(id)


@pytest.fixture
def office(home: Home, tmp_path: Path, orloj: Any) -> Office:
    return Office(home, tmp_path, orloj)


def calls(**arguments: Any) -> list[Any]:
    return [{"tool": "tickets", "arguments": arguments}]


def key(folder: Path, name: str) -> tuple[Path, str]:
    """A new key pair: the private file, and the public line."""
    file = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(file)], check=True
    )
    return file, file.with_suffix(".pub").read_text().strip()


def test_somebody_who_did_not_write_the_rule_approves_by_their_login(office: Office) -> None:
    office.push({"clerk": agent(calls(q=1)), "me": approver("me", "me@example.com", ME)})
    request = office.request()
    listed = office.orloj("approvals")
    assert request in listed.out
    assert "write:tickets" in listed.out
    shown = office.orloj("approvals", "show", request[:-2])
    assert "rule        team/clerk.yaml:26  - write: tickets" in shown.out, shown.out
    assert f"orloj approve {request}" in shown.out
    waiting = office.orloj("task", "show", json.loads(
        office.orloj("approvals", "--json").out)[0]["task"])  # fmt: skip
    assert f"orloj approvals show {request}" in waiting.out
    assert f"orloj approvals show {request}" in office.orloj("tasks").out
    assert f"orloj approvals show {request}" in office.orloj("logs").out
    status = office.orloj("status").out
    assert "1 task waits for a person" in status
    assert "approvals  1 wait" in status
    done = office.orloj("approve", request)
    assert (done.code, "approved" in done.out) == (0, True), done.err
    assert "Next: orloj logs -f" in done.err
    assert "approved" in office.orloj("approvals").out
    again = office.orloj("approve", request)
    assert (again.code, "cannot be approved again" in again.err) == (1, True)


HANDS = {
    "author": ("ada@example.com", "Write it"),
    "committer": ("CARL@Example.com", "Write it"),
    "co-author": ("co@example.com", "Write it\n\nCo-Authored-By: Co <Co@Example.com>\n"),
}


@pytest.mark.parametrize(("role", "email", "message"), [(k, *v) for k, v in HANDS.items()])
def test_who_had_a_hand_in_the_rule_is_refused_and_told_why(
    office: Office, role: str, email: str, message: str
) -> None:
    files = {"clerk": agent(calls(q=1)), "me": approver("me", email, ME)}
    office.push(files, message)
    request = office.request()
    refused = office.orloj("approve", request)
    assert refused.code == 1
    assert f"me is {role} of team/clerk.yaml:" in refused.err
    assert "somebody else must approve" in refused.err
    told = json.loads(office.orloj("approvals", "show", request, "--json").out)
    assert [one["may"] for one in told["approvers"]] == [False]
    assert role in told["approvers"][0]["why"]
    assert office.orloj("deny", request, "--reason", "no").code == 0


def test_who_only_indents_a_line_does_not_hide_its_author(office: Office) -> None:
    text = agent(calls(q=1))
    files = {"clerk": text, "me": approver("me", "ada@example.com", ME)}
    office.push(files)
    moved = text.replace("      - write: tickets\n", "         - write: tickets\n")
    assert moved != text
    office.push({"clerk": moved}, author="Eve Editor <eve@example.com>")
    refused = office.orloj("approve", office.request())
    assert "me is author of team/clerk.yaml:" in refused.err, refused.err


def test_without_the_mirror_nothing_is_approved(office: Office) -> None:
    office.push({"clerk": agent(calls(q=1)), "me": approver("me", "me@example.com", ME)})
    request = office.request()
    (office.home.folder / "git").rename(office.home.folder / "elsewhere")
    refused = office.orloj("approve", request)
    assert (refused.code, "run this where the daemon runs" in refused.err) == (1, True)
    assert "run this where the daemon runs" in office.orloj("approvals", "show", request).out


def test_without_an_approver_the_manifest_to_add_is_shown(office: Office) -> None:
    office.push({"clerk": agent(calls(q=1))})
    request = office.request()
    refused = office.orloj("approve", request)
    assert refused.code == 1
    assert "kind: Approver" in refused.err
    office.push({"me": approver("me", "me@example.com", ME)})
    office.apply()
    assert office.orloj("approve", request).code == 0


SIGNED = """apiVersion: orloj.dev/v1
kind: Namespace
metadata: {name: default}
spec: {approvals: {assurance: signature}}
"""


def test_a_signature_by_a_recorded_key_approves_and_is_verified_by_ssh_keygen_alone(
    office: Office, tmp_path: Path
) -> None:
    private, public = key(tmp_path, "bob")
    other, _ = key(tmp_path, "mallory")
    bob = approver("bob", "bob@example.com", ME, (public,))
    office.push({"clerk": agent(calls(q=1)), "bob": bob, "namespace": SIGNED})
    request = office.request()
    assert "signatures only" in office.orloj("approve", request).err
    payload = tmp_path / "payload"
    assert office.orloj("approvals", "show", request, "--payload", payload).code == 0

    def signed(by: Path, namespace: str, content: bytes) -> Path:
        file = tmp_path / "signed"
        file.write_bytes(content)
        argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(by), "-n", namespace, str(file)]
        file.with_suffix(".sig").unlink(missing_ok=True)
        subprocess.run(argv, check=True, capture_output=True)
        return file.with_suffix(".sig")

    raw = payload.read_bytes()
    for by, namespace, content in (
        (other, "orloj-approval", raw),
        (private, "file", raw),
        (private, "orloj-approval", raw + b"\n"),
        (private, "orloj-approval", raw.replace(b'"q":1', b'"q":2')),
    ):
        wrong = signed(by, namespace, content)
        refused = office.orloj("approve", request, "--signature", wrong)
        assert (refused.code, "is not that of an approver's key" in refused.err) == (1, True)
    assert office.orloj("approve", request, "--sign", other).code == 1
    right = signed(private, "orloj-approval", raw)
    done = office.orloj("approve", request, "--signature", right, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["approver"], told["assurance"]) == ("bob", "signature")
    # Anybody can verify it later, from what is recorded, without us.
    shown = json.loads(office.orloj("approvals", "show", request, "--json").out)
    (tmp_path / "kept.sig").write_text(shown["signature"])
    (tmp_path / "signers").write_text(f'bob namespaces="orloj-approval" {public}\n')
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "signers"), "-I", "bob"]
    argv += ["-n", "orloj-approval", "-s", str(tmp_path / "kept.sig")]
    subprocess.run(argv, input=raw, check=True, capture_output=True)


def test_signing_on_the_host_takes_one_command(office: Office, tmp_path: Path) -> None:
    private, public = key(tmp_path, "bob")
    bob = approver("bob", "bob@example.com", None, (public,))
    office.push({"clerk": agent(calls(q=1)), "bob": bob})
    request = office.request()
    assert "is no approver" in office.orloj("approve", request).err
    done = office.orloj("approve", request, "--sign", private)
    assert (done.code, "by bob (signature)" in done.out) == (0, True), done.err


def test_arguments_are_shown_in_full_and_can_steer_no_terminal(office: Office) -> None:
    office.push({"clerk": agent(calls(**TEXTS)), "me": approver("me", "me@example.com", ME)})
    request = office.request()
    shown = office.orloj("approvals", "show", request).out
    assert "\\u001b[2J\\u001b]0;title\\u0007" in shown
    assert "safe\\u202egnp.exe" in shown
    assert "one\\ntwo\\u2028three" in shown
    assert "x" * 20_000 + "END" in shown
    assert not {"\x1b", "\x07", "\u202e", "\u2028"} & set(shown)
    told = json.loads(office.orloj("approvals", "show", request, "--json").out)
    assert told["call"]["arguments"] == TEXTS
    manifest = office.orloj("approvals", "show", request, "--manifest").out
    assert not {"\x1b", "\x07", "\u202e", "\u2028"} & set(manifest)
    file = office.folder / "approval.yaml"
    file.write_text(manifest)
    checked = office.orloj("validate", file)
    assert "one in a file would approve nothing" in checked.out, "it is read, and refused"


def test_an_edited_row_is_listed_as_unreadable_and_cannot_be_decided(office: Office) -> None:
    office.push({"clerk": agent(calls(q=1)), "me": approver("me", "me@example.com", ME)})
    request = office.request()
    with office.home.database.write() as connection:
        raw = connection.exec_driver_sql("SELECT request FROM approval").scalar_one()
        edited = bytes(raw).replace(b'"q":1', b'"q":9')
        connection.exec_driver_sql("UPDATE approval SET request = ?", (edited,))
    assert "unreadable" in office.orloj("approvals").out
    for command in (["approve"], ["deny", "--reason", "no"], ["approvals", "show"]):
        refused = office.orloj(*command, request)
        assert (refused.code, "is not what was written" in refused.err) == (1, True)


def test_a_request_out_of_time_is_shown_as_expired(office: Office) -> None:
    office.push({"clerk": agent(calls(q=1)), "me": approver("me", "me@example.com", ME),
                 "namespace": SIGNED.replace("assurance: signature", "ttl: 1s")})  # fmt: skip
    request = office.request()
    (expires,) = office.home.rows("SELECT expires_at FROM approval")[0]
    office.home.until(lambda: clock.now_us() >= expires)
    assert f"{request}  expired" in office.orloj("approvals").out
    assert "has expired" in office.orloj("approve", request).err
