"""Nothing in the project knows the machine it was written on, or one package index."""

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Homes and mounts of people's machines; the split keeps this file from naming them.
MACHINE = re.compile("|".join(["/ho" + "me/[a-z]", "/Us" + "ers/[a-z]", "/ro" + "ot/"]))
INDEX = re.compile("--(?:extra-)?(?:index|default-index)-url|--find-links|^https?://", re.M)


def tracked() -> list[Path]:
    """What is committed."""
    found = subprocess.run(
        [
            "git",
            "-C",
            str(ROOT),
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        capture_output=True,
        check=True,
    )
    names = found.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_file_names_a_folder_of_one_machine() -> None:
    faults = []
    for path in tracked():
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE.search(line) or str(ROOT) in line:
                faults.append(f"{path.relative_to(ROOT)}:{number}")
    assert not faults


def test_the_lock_files_name_hashes_and_no_address() -> None:
    for name in ("requirements.lock", ".ci/requirements.lock", ".ci/benchmarks.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not INDEX.search(text), name
        requirements = re.findall(r"^\S+==", text, re.M)
        assert len(requirements) > 20
        assert len(re.findall(r"^\S+==[^\n]*\\\n    --hash=sha256:", text, re.M)) == len(
            requirements
        ), f"{name} has a package without a hash"


def test_the_lock_files_hold_every_package_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime, groups = project["project"]["dependencies"], project["dependency-groups"]
    for lock, named in (
        ("requirements.lock", runtime),
        (".ci/requirements.lock", runtime + groups["dev"]),
        (".ci/benchmarks.lock", runtime + groups["benchmarks"]),
    ):
        text = (ROOT / lock).read_text(encoding="utf-8")
        for written in named:
            name = re.sub(r"[-_.]+", "-", re.split(r"[\[>]", written)[0])  # Spelled as PEP 503.
            assert re.search(rf"^{name}==", text, re.M), f"{lock} lacks {name}"


def test_the_scripts_can_be_executed() -> None:
    for name in ("run", "test", "demo", "environment", "benchmarks"):
        assert (ROOT / ".ci" / name).stat().st_mode & 0o100, name
