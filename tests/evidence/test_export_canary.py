"""What is private or secret stands nowhere in an export but where somebody asked for it.

A real home: manifests from Git, a model and a tool over HTTP, a person who signs. Each slot
that a person or a program can write into holds a name of its own, and the tool says its
secret back. Then every file of the bundle is searched, and every object of its Git bundles,
in all the ways of writing that `canaries` knows. ssh-keygen checks the signature from there.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import signing
from bundles import Bundle, Log
from canaries import in_bytes
from local_server import Answer, LocalServer, Received
from model_server import ModelServer, completion, said
from repository import Repository, git

from reconciler.proof.keeper import Keeper
from runner.contract import clock, settings

pytestmark = pytest.mark.story

SECRET = "Canary-Bearer-82e1bb"
NAMES = {
    "manifest": "Marguerite Eins",
    "input": "Ingeborg Zwei",
    "argument": "Adelheid Drei",
    "result": "Roswitha Vier",
    "tool error": "Theodora Funf",
    "model error": "Mechthild Sechs",
    "answer": "Annegret Sieben",
    "comment": "Kunigunde Acht",
    "suspension": "Sieglinde Neun",
    "denial": "Dorothea Zehn",
}
MANIFESTS = """
apiVersion: orloj.dev/v1
kind: Namespace
metadata: {{name: default}}
spec: {{approvals: {{fourEyes: false}}}}
---
apiVersion: orloj.dev/v1
kind: Approver
metadata: {{name: ada}}
spec: {{emails: [ada@example.com], user: {login}, keys: ["{public}"]}}
---
apiVersion: orloj.dev/v1
kind: Secret
metadata: {{name: bearer}}
spec: {{fromFile: {{value: bearer}}}}
---
apiVersion: orloj.dev/v1
kind: Tool
metadata: {{name: tickets}}
spec:
  endpoint: {tool}/tickets
  requires: [{{write: tickets}}]
  auth: {{secretRef: bearer}}
---
apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata: {{name: default}}
spec: {{provider: openai-compatible, base_url: "{model}/v1", default_model: m}}
---
apiVersion: orloj.dev/v1
kind: Agent
metadata: {{name: clerk}}
spec:
  model: m
  prompt: You work for {name}.
  tools: [{{name: tickets, permissions: [{{write: tickets}}]}}]
  governance: {{requireApproval: [{{write: tickets}}]}}
"""


def calls(*arguments: object) -> list[dict[str, str]]:
    return [{"name": "tickets", "arguments": json.dumps({"who": one})} for one in arguments]


class Office:
    """The home, and what came of a day in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, Log(folder / "home")
        self.home = self.log.home
        self.signer = signing.ssh(folder, "ada@example.com")
        self.model = ModelServer(
            completion("", calls(NAMES["argument"])),
            completion("", calls("again")),
            completion("", calls("a third time")),
            completion(f"It was {NAMES['answer']}."),
            said({"error": {"message": NAMES["model error"], "type": "t"}}, 400),
        )
        self.tool = LocalServer(self._answer)

    def _answer(self, request: Received) -> Answer:
        if b"again" in request.body:
            return said({"error": NAMES["tool error"]}, 500)
        return said({"found": NAMES["result"], "headers": request.headers})

    def orloj(self, *arguments: str) -> str:
        done = self.home.orloj(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def apply(self) -> None:
        credentials = self.folder / "credentials"
        credentials.mkdir()
        (credentials / "bearer").write_text(SECRET, encoding="utf-8")
        repository = Repository(self.folder)
        text = MANIFESTS.format(
            public=self.signer.public,
            login=settings.person(),
            tool=self.tool.url,
            model=self.model.url,
            name=NAMES["manifest"],
        )
        repository.write("all.yaml", text)
        repository.commit("Declare everything")
        repository.push()
        (self.home.folder / "orloj.toml").write_text(
            f'[source]\nurl = "{repository.url}"\nref = "main"\n'
            f'[secrets]\nfolder = "{credentials}"\n',
            encoding="utf-8",
        )
        with self.home.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM source")
        plan = str(self.folder / "saved.plan")
        self.orloj("plan", "--out", plan)
        self.orloj("apply", plan, "--yes")
        self.orloj("suspend", "--reason", NAMES["suspension"])

    def work(self) -> None:
        """One task whose calls are approved twice and denied once, one whose model fails."""
        task = self.task()
        signed = ("--sign", str(self.signer.home))
        for verb, *more in (
            ("approve", *signed, "--reason", NAMES["comment"]),
            ("approve", *signed),
            ("deny", "--reason", NAMES["denial"]),
        ):
            self.home.wait([task], {"waiting_approval"})
            ((request,),) = self.home.rows("SELECT id FROM approval WHERE state = 'pending'")
            self.orloj(verb, request, *more)
            self.home.until(lambda asked=request: self.state_of(asked) != "pending")
            self.home.wait([task], {"waiting_approval", "succeeded", "failed"})
            self.home.until(lambda asked=request: self.state_of(asked) != "approved")
        self.home.wait([task], {"succeeded"})
        self.home.wait([self.task()], {"failed", "dead"})

    def state_of(self, request: str) -> str:
        ((state,),) = self.home.rows("SELECT state FROM approval WHERE id = ?", request)
        return str(state)

    def task(self) -> str:
        said = self.orloj("run", "clerk", "--input", f"name={NAMES['input']}", "--detach")
        return said.split()[0]

    def export(self, name: str, *arguments: str) -> Bundle:
        tar = self.folder / f"{name}.tar"
        self.log.export(tar, *arguments, pdf=True)
        return Bundle.unpack(tar, self.folder / name)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = Office(tmp_path_factory.mktemp("office"))
    with made.model.running(), made.tool.running():
        made.apply()
        with made.home.runner(workers=1):
            made.work()
    config = settings.load(made.home.folder)
    Keeper(config, made.home.database, clock.now_us).step(at_once=True)
    yield made
    made.home.close()


@pytest.fixture(scope="module")
def plain(office: Office) -> Bundle:
    """An export for which nothing was asked to be disclosed."""
    return office.export("plain")


@pytest.fixture(scope="module")
def disclosed(office: Office) -> Bundle:
    """One with the arguments of calls."""
    return office.export("disclosed", "--disclose", "arguments")


def contents(bundle: Bundle) -> dict[str, bytes]:
    """What stands in each file; of a Git bundle, in all its objects."""
    found = {}
    for file in bundle.folder.rglob("*"):
        if not file.is_file():
            continue
        path = file.relative_to(bundle.folder).as_posix()
        if file.suffix == ".bundle":
            clone = bundle.folder.parent.parent / f"{bundle.folder.parent.name}-{file.stem}"
            if not clone.exists():
                git("clone", "-q", "--mirror", str(file), str(clone), folder=file.parent)
            flags = ("--batch", "--batch-all-objects")
            found[path] = git("cat-file", *flags, folder=clone)
        else:
            found[path] = file.read_bytes()
    return found


def holding(bundle: Bundle, value: str) -> list[str]:
    return sorted(path for path, text in contents(bundle).items() if in_bytes(text, value))


def test_every_slot_was_filled(office: Office) -> None:
    """Else that nothing is found would prove nothing."""
    rows = [
        str(row)
        for table in ("disclosure", "step", "task", "approval", "audit_entry")
        for row in office.home.rows(f"SELECT * FROM {table}")
    ]
    text = "\n".join(rows)
    assert [slot for slot, name in NAMES.items() if name not in text] == ["manifest"]
    assert [call.headers["Authorization"] for call in office.tool.received] == [
        f"Bearer {SECRET}"
    ] * 2


@pytest.mark.parametrize("slot", [slot for slot in NAMES if slot != "manifest"])
def test_a_name_stands_nowhere_in_an_export(plain: Bundle, slot: str) -> None:
    assert holding(plain, NAMES[slot]) == []


def test_a_name_in_a_manifest_stands_in_the_commits_alone(plain: Bundle) -> None:
    assert holding(plain, NAMES["manifest"]) == ["repo.bundle"]


def test_the_commits_can_be_left_out(office: Office) -> None:
    assert holding(office.export("without", "--no-git"), NAMES["manifest"]) == []


def test_a_secret_stands_nowhere(plain: Bundle, office: Office, disclosed: Bundle) -> None:
    every = ("--disclose", "result", "--disclose", "error", "--disclose", "arguments")
    for bundle in (plain, disclosed, office.export("all", *every)):
        assert holding(bundle, SECRET) == []


def test_only_what_was_asked_for_is_disclosed(disclosed: Bundle) -> None:
    where = holding(disclosed, NAMES["argument"])
    requests = [path for path in where if path.startswith("approvals/")]
    assert where == [*requests, "disclosures.jsonl"]
    assert len(requests) == 1
    for slot in set(NAMES) - {"argument", "manifest"}:
        # What a model was asked holds what came before: the input and the results.
        assert set(holding(disclosed, NAMES[slot])) <= {"disclosures.jsonl"}


def test_ssh_keygen_checks_the_approvals_of_the_bundle(disclosed: Bundle) -> None:
    folder = disclosed.folder / "approvals"
    signed = sorted(folder.glob("*.sig"))
    assert len(signed) == 2
    actors = {
        entry["approval"]: entry["actor"].partition(":")[2]
        for entry in disclosed.entries
        if entry["type"] == "action.approval_granted"
    }
    for signature in signed:
        command = ["ssh-keygen", "-Y", "verify", "-f", str(folder / "allowed_signers")]
        command += ["-I", actors[signature.stem], "-n", "orloj-approval", "-s", str(signature)]
        request = signature.with_suffix(".json").read_bytes()
        assert subprocess.run(command, input=request, capture_output=True).returncode == 0
        other = request.replace(b"tickets", b"tockets")
        assert subprocess.run(command, input=other, capture_output=True).returncode != 0


def test_the_export_of_a_real_home_verifies(disclosed: Bundle) -> None:
    (vkey,) = disclosed.folder.glob("keys/*.vkey")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", ".", "--key", vkey.read_text().strip()],
        cwd=disclosed.folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    passed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("PASS")}
    assert {"entries", "tree", "values", "approvals", "git"} <= passed
