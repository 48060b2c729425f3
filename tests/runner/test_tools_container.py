"""A container is given nothing that was not declared, is always removed, and never left out.

No runtime of containers is needed: a program in its place records what it is asked, and plays
what one would do. It was not compared with a real one.
"""

import asyncio
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import tools
from runner.contract import settings
from runner.contract.errors import SettingsInvalid, ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Answered, Bounds, Call

IMAGE = "docker.io/bitnami/kubectl:1.30"
SECRET = "canary-9f2c"
STAND_IN = f"""#!{sys.executable} -IS
import json, os, sys, time
from pathlib import Path
here = Path(__file__).parent
def arrived():
    words = sys.argv[1:]
    named = [w for w in words if w.startswith("--env-file=")]
    file = Path(named[0].partition("=")[2]) if named else None
    record = {{
        "words": words,
        "environment": dict(os.environ),
        "file": None if file is None else str(file),
        "variables": None if file is None else file.read_text(),
        "mode": None if file is None else file.stat().st_mode & 0o777,
        "input": sys.stdin.read() if words[0] == "run" else None,
    }}
    with open(here / "asked", "a") as log:
        log.write(json.dumps(record) + "\\n")
arrived()
if sys.argv[1] == "run":
    PLAYED
"""


def standing_in(folder: Path, plays: str = "print('ran')", name: str = "podman") -> str:
    """A program in the place of a runtime, which plays what a container does."""
    path = folder / name
    path.write_text(STAND_IN.replace("PLAYED", plays), encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def asked(folder: Path) -> list[dict[str, Any]]:
    """What it was asked, in turn."""
    lines = (folder / "asked").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def call(
    folder: Path,
    runtime: str,
    arguments: dict[str, Any] | None = None,
    *,
    images: tuple[str, ...] = (IMAGE,),
    environment: dict[str, str] | None = None,
    runtime_fields: dict[str, Any] | None = None,
    **cli: Any,
) -> Answered:
    tool = Tool.model_validate(
        {
            "type": "cli",
            "cli": {"command": "kubectl", "image": IMAGE, **cli},
            "runtime": {"timeout": "10s", **(runtime_fields or {})},
        }
    )
    bounds = Bounds(folder / "files", (), 10_000, container=runtime, images=images)
    made = Call("t:1", None, bounds, (SECRET,), environment=environment or {})
    return asyncio.run(tools.call(tool, arguments or {}, made))


def words(folder: Path, name: str = "podman", **more: Any) -> list[str]:
    call(folder, standing_in(folder, name=name), **more)
    (record,) = asked(folder)
    found: list[str] = record["words"]
    return found


def test_a_container_is_asked_for_with_everything_taken_from_it(tmp_path: Path) -> None:
    args = ["get", "pods", "-n", "{{ .namespace }}"]
    found = words(tmp_path, arguments={"namespace": "a b; x"}, args=args)
    image = found.index(IMAGE)
    assert found[image:] == [IMAGE, "get", "pods", "-n", "a b; x"]
    before = [word for word in found[:image] if not word.startswith(("--name=", "--env-file="))]
    cpu = 10 * (os.cpu_count() or 1) + 1
    assert before == [
        *("run", "--rm", "--interactive", "--pull=never", "--label=dev.orloj.call=1"),
        *("--log-driver=none", "--network=none", "--read-only", "--cap-drop=ALL"),
        *("--security-opt=no-new-privileges", "--user=65532:65532"),
        *("--memory=512m", "--memory-swap=512m", "--pids-limit=32"),
        *("--ulimit=nofile=256:256", "--ulimit=core=0:0", f"--ulimit=cpu={cpu}:{cpu}"),
        "--tmpfs=/tmp:rw,nosuid,nodev,size=64m,mode=1777",
        *("--timeout=11", "--http-proxy=false", "--entrypoint=kubectl"),
    ]


def test_docker_is_not_asked_what_podman_alone_can_do(tmp_path: Path) -> None:
    found = words(tmp_path, name="docker")
    assert not [word for word in found if word.startswith(("--timeout", "--http-proxy"))]
    assert "--cap-drop=ALL" in found


@pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not installed")
def test_the_client_of_docker_takes_every_word(tmp_path: Path) -> None:
    """It looks at all words before it asks its daemon, which need not be there."""
    found = words(tmp_path, name="docker", working_dir="/work", args=["get", "--all"])
    file = tmp_path / "variables"
    file.write_text("A=1\n", encoding="utf-8")
    taken = [f"--env-file={file}" if word.startswith("--env-file=") else word for word in found]
    taken = ["orloj.invalid/none:1" if word == IMAGE else word for word in taken]
    for more, refused in ([], False), (["--no-such-word"], True):
        done = subprocess.run(
            ["docker", "run", *more, *taken[1:]], capture_output=True, text=True, check=False
        )
        assert done.returncode == 125
        assert ("flag" in done.stderr) is refused, done.stderr


@pytest.mark.parametrize("network", ["none", "bridge", "host"])
def test_what_is_declared_reaches_the_container(tmp_path: Path, network: str) -> None:
    bounds = {"memory_mb": 64, "processes": 8}
    found = words(tmp_path, network=network, working_dir="/work", runtime_fields=bounds)
    assert {f"--network={network}", "--memory=64m", "--pids-limit=8", "--workdir=/work"} <= {
        *found
    }


def test_values_go_through_a_file_of_ours_alone_and_through_no_word(tmp_path: Path) -> None:
    runtime = standing_in(tmp_path)
    env = {"REGION": "eu", "DOCKER_HOST": "tcp://elsewhere:1", "PATH": "/evil"}
    answered = call(tmp_path, runtime, environment={"TOKEN": SECRET}, env=env)
    (record,) = asked(tmp_path)
    assert record["variables"].splitlines() == [
        *("HOME=/tmp", "IDEMPOTENCY_KEY=t:1", "REGION=eu", "DOCKER_HOST=tcp://elsewhere:1"),
        *("PATH=/evil", f"TOKEN={SECRET}"),
    ]
    assert record["mode"] == stat.S_IRUSR | stat.S_IWUSR
    assert not Path(record["file"]).exists()
    assert SECRET not in json.dumps(record["words"])
    # The runtime itself runs on the host: nothing of the manifest steers it.
    assert record["environment"].keys() <= {"HOME", "PATH", "XDG_RUNTIME_DIR", "LC_CTYPE"}
    assert "evil" not in record["environment"]["PATH"]
    assert (answered.text, answered.isolation) == ("ran\n", "container")


def test_a_variable_of_several_lines_is_refused_as_it_would_be_two(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="TOKEN has several lines"):
        call(tmp_path, standing_in(tmp_path), environment={"TOKEN": "a\nLD_PRELOAD=x"})
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("wanted", [False, True])
def test_the_input_is_given_where_it_is_asked_for(tmp_path: Path, wanted: bool) -> None:
    call(tmp_path, standing_in(tmp_path), {"q": 1}, stdin_from_input=wanted)
    assert asked(tmp_path)[0]["input"] == ('{"q": 1}' if wanted else "")


def test_without_a_runtime_a_call_is_denied_and_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "kubectl").write_text("#!/bin/sh\ntouch ran\n", encoding="utf-8")
    for runtime, said in (
        ("", r"the setting tools\.container of this host names nothing"),
        ("/nonexistent/podman", "is not installed"),
    ):
        with pytest.raises(ToolFailed, match=said) as error:
            call(tmp_path, runtime, command=str(tmp_path / "kubectl"))
        assert error.value.code is ToolCode.ISOLATION_UNAVAILABLE
    assert not (tmp_path / "files").exists()


@pytest.mark.parametrize(
    ("images", "allowed"),
    [
        ((), False),
        (("docker.io/bitnami/kubectl",), False),
        (("docker.io/bitnami/kubectl:1.3",), False),
        ((IMAGE,), True),
        (("docker.io/bitnami/*",), True),
        (("*",), True),
        (("docker.io/*/kubectl:1.30",), False),
    ],
)
def test_an_image_is_run_where_the_host_names_it(
    tmp_path: Path, images: tuple[str, ...], allowed: bool
) -> None:
    runtime = standing_in(tmp_path)
    if allowed:
        assert call(tmp_path, runtime, images=images).text == "ran\n"
        return
    with pytest.raises(
        ToolFailed, match=r"may not be run on this host.*tools\.images"
    ) as error:
        call(tmp_path, runtime, images=images)
    assert error.value.code is ToolCode.RUNTIME_POLICY_INVALID
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(
    ("code", "said", "what"),
    [
        (125, "did not start the container: no such.*podman pull", "isolation_unavailable"),
        (127, "kubectl cannot be started in docker.io", "runtime_policy_invalid"),
        (1, "kubectl ended with code 1: no such image", "execution_failed"),
    ],
)  # fmt: skip
def test_a_failure_says_whose_it_is(tmp_path: Path, code: int, said: str, what: str) -> None:
    plays = f"print('no such image {SECRET}', file=sys.stderr); sys.exit({code})"
    with pytest.raises(ToolFailed, match=said) as error:
        call(tmp_path, standing_in(tmp_path, plays))
    assert error.value.code == what
    assert SECRET not in str(error.value)


def test_a_call_out_of_time_removes_its_container_by_force(tmp_path: Path) -> None:
    plays = "(here / 'pid').write_text(str(os.getpid())); time.sleep(600)"
    with pytest.raises(ToolFailed, match="no answer within") as error:
        call(tmp_path, standing_in(tmp_path, plays), runtime_fields={"timeout": "4s"})
    assert error.value.isolation == "container"
    ran, removed = asked(tmp_path)
    (name,) = [word for word in ran["words"] if word.startswith("--name=")]
    assert removed["words"] == ["rm", "--force", "--volumes", name.partition("=")[2]]
    assert not Path(ran["file"]).exists()
    assert not Path("/proc", (tmp_path / "pid").read_text(encoding="utf-8")).exists()


def test_two_calls_have_containers_of_their_own(tmp_path: Path) -> None:
    runtime = standing_in(tmp_path)
    call(tmp_path, runtime)
    call(tmp_path, runtime)
    names = [word for one in asked(tmp_path) for word in one["words"] if "--name=" in word]
    assert len(set(names)) == 2


def test_what_runs_containers_is_named_whole_or_is_one_of_two(tmp_path: Path) -> None:
    for value in ("podman", "docker", "/opt/nerdctl", ""):
        loaded = settings.load(tmp_path, {"ORLOJ_TOOLS_CONTAINER": value})
        assert loaded.tools.container == value
    with pytest.raises(SettingsInvalid, match="podman, docker or an absolute path"):
        settings.load(tmp_path, {"ORLOJ_TOOLS_CONTAINER": "bin/podman"})
