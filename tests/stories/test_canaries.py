"""A secret goes to the one tool that names it, and stands nowhere else: not even said back.

Every slot for a secret holds a canary, and whoever is given one says it back in every way of
writing that `canaries` knows. Then files, rows, outputs and processes are searched.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from canaries import WRITTEN, in_bytes, in_files, in_processes
from home import Home
from local_server import Answer, LocalServer, Received
from model_server import ModelServer, completion, said
from repository import Repository

from runner.contract.kinds import Key
from runner.contract.tables import SourceRow

pytestmark = pytest.mark.story
ONCE = pytest.mark.parametrize("database_url", [""], ids=["sqlite"])

CANARIES = {
    "model": "Canary-Model-71f0aa",
    "bearer": "Canary-Bearer-82e1bb",
    "basic": "user:Canary-Basic-93d2cc",
    "keyed": "Canary-Keyed-a4c3dd",
    "program": "Canary-Program-b5b4ee",
}
# Says its environment back, and in hashes, which no mask touches, what it was given.
PROGRAM = """
import base64, hashlib, json, os
own = os.environ["TOOL_SECRET"]
data = own.encode()
hashes = {n: hashlib.sha256(v.encode()).hexdigest() for n, v in os.environ.items()}
line = open("/proc/self/cmdline").read()
print(json.dumps({"hashes": hashes, "environment": dict(os.environ), "line": line,
    "hex": data.hex(":"), "packed": base64.b64encode(b"ab" + data + b"c").decode(),
    "back": own[::-1], "numbers": str(list(data)), "spaced": " ".join(own)}))
"""
TOOLS = f"""
apiVersion: orloj.dev/v1
kind: Tool
metadata: {{name: bearer}}
spec:
  endpoint: URL/bearer
  requires: [{{read: all}}]
  auth: {{secretRef: bearer}}
---
apiVersion: orloj.dev/v1
kind: Tool
metadata: {{name: basic}}
spec:
  endpoint: URL/basic
  requires: [{{read: all}}]
  auth: {{secretRef: "basic:login", profile: basic}}
---
apiVersion: orloj.dev/v1
kind: Tool
metadata: {{name: keyed}}
spec:
  endpoint: URL/keyed
  method: GET
  requires: [{{read: all}}]
  auth: {{secretRef: keyed, profile: api_key_header, headerName: X-API-Key}}
---
apiVersion: orloj.dev/v1
kind: Tool
metadata: {{name: program}}
spec:
  type: command
  command: ["{sys.executable}", "-I", "-c", {json.dumps(PROGRAM)}]
  requires: [{{read: all}}]
  auth: {{secretRef: program}}
---
apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata: {{name: default}}
spec:
  provider: openai-compatible
  base_url: MODEL/v1
  default_model: m
  auth: {{secretRef: model}}
"""
AGENT = """
apiVersion: orloj.dev/v1
kind: Agent
metadata: {name: clerk}
spec:
  model: m
  tools:
    - {name: bearer, permissions: [{read: all}]}
    - {name: basic, permissions: [{read: all}]}
    - {name: keyed, permissions: [{read: all}]}
    - {name: program, permissions: [{read: all}]}
"""


def secret(name: str, spec: dict[str, Any]) -> str:
    metadata = f"apiVersion: orloj.dev/v1\nkind: Secret\nmetadata: {{name: {name}}}\n"
    return f"---\n{metadata}spec: {json.dumps(spec)}\n"


SECRETS = (
    secret("model", {"stringData": {"value": CANARIES["model"]}})
    + secret("bearer", {"fromFile": {"value": "bearer"}})
    + secret("basic", {"stringData": {"login": CANARIES["basic"]}})
    + secret("keyed", {"fromEnv": {"value": "KEYED"}})
    + secret(
        "program",
        {"data": {"value": base64.b64encode(CANARIES["program"].encode()).decode()}},
    )
)


def everywhere(value: str) -> list[str]:
    return [write(value) for write in WRITTEN.values()]


class Stage:
    """A home that follows a repository with every canary, and servers that say all back."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home = home
        self.folder = folder
        self.seen: set[tuple[int, str, str]] = set()
        arguments = json.dumps({"say": everywhere(CANARIES["model"])})
        calls = [{"name": name, "arguments": arguments} for name in CANARIES if name != "model"]
        told = " ".join(everywhere(CANARIES["model"]))
        self.model = ModelServer(completion("", calls), completion(told))
        self.server = LocalServer(self._echo)

    def _echo(self, request: Received) -> Answer:
        self.seen |= in_processes(CANARIES.values())
        own = CANARIES[request.path.partition("?")[0].strip("/")]
        status = 500 if request.path == "/basic" else 200
        return said({"headers": request.headers, "own": everywhere(own)}, status)

    def apply(self) -> str:
        """Plan and apply the repository; what was printed."""
        credentials = self.folder / "credentials"
        credentials.mkdir()
        (credentials / "bearer").write_text(CANARIES["bearer"], encoding="utf-8")
        repository = Repository(self.folder)
        tools = TOOLS.replace("URL", self.server.url).replace("MODEL", self.model.url)
        for name, text in (("tools", tools), ("agent", AGENT), ("secrets", SECRETS)):
            repository.write(f"{name}.yaml", text)
        repository.commit("Declare everything")
        repository.push()
        (self.home.folder / "orloj.toml").write_text(
            f'[source]\nurl = "{repository.url}"\nref = "main"\n'
            f'[secrets]\nfolder = "{credentials}"\nenv = ["KEYED"]\n'
            f'[tools]\ncommands = ["{sys.executable}"]\n',
            encoding="utf-8",
        )
        with self.home.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM source")
        self.home.environment = {"KEYED": CANARIES["keyed"]}
        plan = str(self.folder / "saved.plan")
        return self.printed(
            ("plan",), ("plan", "--json"), ("plan", "--out", plan), ("apply", plan, "--yes")
        ) + Path(plan).read_text(encoding="utf-8")

    def printed(self, *commands: tuple[str, ...]) -> str:
        """What commands of `orloj` say, which must succeed."""
        text = ""
        for command in commands:
            done = self.home.orloj(*command)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            text += done.stdout + done.stderr
        return text

    def rows(self) -> str:
        """Everything in the database."""
        tables = SourceRow.metadata.tables
        return "\n".join(
            str(tuple(row))
            for name in tables
            for row in self.home.rows(f"SELECT * FROM {name}")
        )


@pytest.fixture
def stage(home: Home, tmp_path: Path) -> Stage:
    return Stage(home, tmp_path)


def check_each_was_given_its_own(stage: Stage) -> None:
    """Each server and the program got the secret that its manifest names, and no other."""
    for request in stage.server.received:
        own = request.path.partition("?")[0].strip("/")
        given = f"{request.path} {request.headers} {request.body.decode()}"
        packed = base64.b64encode(CANARIES["basic"].encode()).decode()
        held = {name for name, value in CANARIES.items() if value in given}
        assert held | ({"basic"} if packed in given else set()) == {own}
    assert len(stage.server.received) == 3
    for question in stage.model.received:
        assert question.headers["authorization"] == f"Bearer {CANARIES['model']}"
    ((result,),) = stage.home.rows("SELECT result FROM step WHERE name = 'program'")
    answer = json.loads(json.loads(result)["content"])
    hashed = {hashlib.sha256(value.encode()).hexdigest(): n for n, value in CANARIES.items()}
    held_by = {name: hashed.get(digest) for name, digest in answer["hashes"].items()}
    assert {name: held for name, held in held_by.items() if held} == {"TOOL_SECRET": "program"}
    assert answer["environment"]["TOOL_SECRET"] == "(secret)"


def test_a_secret_goes_to_the_tool_that_names_it_and_stands_nowhere_else(
    stage: Stage,
) -> None:
    home = stage.home
    with stage.server.running(), stage.model.running():
        printed = stage.apply()
        with home.runner(workers=1) as runner:
            (task,) = home.submit(Key("default", "Agent", "clerk"))
            home.wait([task], {"succeeded", "failed", "dead"})
            log = home.folder.rglob("*")
            files = [path for path in log if path.is_file()]  # With the log of the database.
            in_home = in_files(files, CANARIES.values())
        printed += stage.printed(
            ("task", "show", task),
            ("task", "show", task, "--json"),
            ("logs", task, "--json"),
            ("audit", "export"),
            ("audit", "log", "--json"),
            ("status", "--json"),
            ("plan",),
        )
    assert home.state(task) == "succeeded", home.rows("SELECT error FROM task")
    assert home.database.shared or any(path.name.endswith("-wal") for path in files)
    assert in_home == []
    assert [name for name, value in CANARIES.items() if in_bytes(printed.encode(), value)] == []
    assert [n for n, value in CANARIES.items() if in_bytes(stage.rows().encode(), value)] == []
    # The runner was started with one in its environment; its workers and programs were not.
    assert stage.seen <= {(runner.pid, "environ", CANARIES["keyed"])}
    asked = b"".join(question.body for question in stage.model.received)
    assert [name for name, value in CANARIES.items() if in_bytes(asked, value)] == []
    check_each_was_given_its_own(stage)


@ONCE
@pytest.mark.parametrize(("allowed", "called"), [([], 0), (["default"], 1)], ids=["no", "yes"])
def test_a_secret_of_another_namespace_is_used_only_with_its_consent(
    home: Home, allowed: list[str], called: int
) -> None:
    # As if it had been applied before anybody asked for consent.
    (home.folder / "orloj.toml").write_text('[secrets]\nenv = ["KEYED"]\n', encoding="utf-8")
    home.environment = {"KEYED": CANARIES["keyed"]}
    spec = {"fromEnv": {"value": "KEYED"}, "allowedNamespaces": allowed}
    home.record("Secret", "key", spec, namespace="vault")
    calls = [{"tool": "own"}, {"tool": "vault/theirs"}]
    script = {"clerk": [{"calls": calls}, {"reply": "{result.1} {result.2}"}]}
    endpoint = {"provider": "mock", "default_model": "m", "script": script}
    home.record("ModelEndpoint", "default", endpoint)
    with LocalServer(lambda _: Answer(200, b"answered")).running() as server:
        tool = {"endpoint": server.url, "requires": [{"read": "all"}]}
        home.record("Tool", "own", {**tool, "auth": {"secretRef": "vault/key"}})
        inside = {**tool, "auth": {"secretRef": "key"}}
        home.record("Tool", "theirs", inside, namespace="vault")
        granted = [{"name": call["tool"], "permissions": [{"read": "all"}]} for call in calls]
        agent = home.record("Agent", "clerk", {"model": "m", "tools": granted})
        with home.runner(workers=1):
            (task,) = home.submit(agent)
            home.wait([task], {"succeeded", "failed"})
    ((output,),) = home.rows("SELECT output FROM task WHERE id = ?", task)
    assert len(server.received) == called + 1
    assert ("allowedNamespaces" in output) is not called
    assert output.endswith("answered"), "a tool of the Secret's own namespace may use it"
