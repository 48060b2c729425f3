"""Each class of attack on a reconciler has a test, and that test is red without its defence.

One row is one class of docs/attacks.md: the line that defends, what stands there without it,
and the test that must fail then. The line is taken out of a copy of the program; the test
runs against the copy. That it passes on the whole program is what the rest of the suite says.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.story, pytest.mark.timeout(120)]

PROJECT = Path(__file__).parents[2]
GIT_SOURCE = "tests/reconciler/test_git_source.py"
MANIFEST = "tests/reconciler/test_manifest.py"
RECEIVER = "tests/reconciler/test_receiver.py"


@dataclass(frozen=True)
class Defence:
    """A class of attack, the line against it, that line taken out, and the test for it."""

    attack: str
    file: str
    line: str
    without: str
    test: str


DEFENCES = (
    Defence(
        "path traversal",
        "reconciler/git/address.py",
        'any(part in ("", ".", "..") for part in trimmed.split("/"))',
        "False",
        f"{GIT_SOURCE}::test_a_folder_that_is_not_inside_the_repository_is_refused",
    ),
    Defence(
        "symbolic link",
        "reconciler/git/tree.py",
        "    if mode == _SYMLINK:\n",
        "    if False:\n",
        f"{GIT_SOURCE}::test_a_symlink_and_a_submodule_are_problems_that_name_their_path",
    ),
    Defence(
        "submodule",
        "reconciler/git/tree.py",
        "    if mode == _SUBMODULE:\n",
        "    if False:\n",
        f"{GIT_SOURCE}::test_a_symlink_and_a_submodule_are_problems_that_name_their_path",
    ),
    Defence(
        "option in the place of a ref",
        "reconciler/git/address.py",
        "refs/(heads|tags)/(?!-)",
        "refs/(heads|tags)/",
        f"{GIT_SOURCE}::test_a_ref_that_is_no_branch_or_tag_name_is_refused",
    ),
    Defence(
        "transport that runs commands",
        "reconciler/git/address.py",
        'url.startswith(("https://", "ssh://", "file:///"))',
        "True",
        f"{GIT_SOURCE}::test_a_url_of_no_allowed_form_is_refused_before_git_sees_it",
    ),
    Defence(
        "hook in the mirror",
        "reconciler/git/command.py",
        '    "core.hooksPath=/dev/null",\n',
        "",
        f"{GIT_SOURCE}::test_a_hook_in_the_mirror_does_not_run",
    ),
    Defence(
        "environment of whoever started us",
        "reconciler/git/command.py",
        '["/usr/bin/env", "-i", *self._environment,',
        '["/usr/bin/env", *self._environment,',
        f"{GIT_SOURCE}::test_a_child_sees_the_environment_that_was_built_and_nothing_of_ours",
    ),
    Defence(
        "malformed object",
        "reconciler/git/command.py",
        "transfer.fsckObjects=true",
        "transfer.fsckObjects=false",
        f"{GIT_SOURCE}::test_a_malformed_object_is_refused",
    ),
    Defence(
        "pack that fills the disk",
        "reconciler/git/command.py",
        'f"--fsize={file_bytes_max}"',
        '"--fsize=unlimited"',
        f"{GIT_SOURCE}::test_a_pack_larger_than_the_limit_is_cut_and_stalls",
    ),
    Defence(
        "bomb of nested brackets",
        "reconciler/manifest/positions.py",
        "DEPTH_MAX: Final = 64",
        "DEPTH_MAX: Final = 10**9",
        f"{MANIFEST}::test_each_limit_holds_exactly",
    ),
    Defence(
        "bomb of many values",
        "reconciler/manifest/positions.py",
        "NODES_MAX: Final = 20_000",
        "NODES_MAX: Final = 10**9",
        f"{MANIFEST}::test_each_limit_holds_exactly",
    ),
    Defence(
        "password in a message",
        "reconciler/git/address.py",
        'return _USERINFO.sub(r"\\1", " ".join(line.split()))[:_WORDS_MAX]',
        'return " ".join(line.split())[:_WORDS_MAX]',
        f"{GIT_SOURCE}::test_words_of_a_server_are_one_plain_line_without_a_password",
    ),
    Defence(
        "secret in what is recorded",
        "reconciler/manifest/sealing.py",
        'entries[name] = "" if plain is None else sealed[-1][0]',
        "pass",
        f"{MANIFEST}::test_a_secret_is_stored_as_a_digest_and_can_be_opened",
    ),
    Defence(
        "escape sequence in text",
        "reconciler/views/plain.py",
        "return _UNSAFE.sub(_visible, text)",
        "return text",
        "tests/reconciler/views/test_problems.py"
        "::test_nothing_of_a_hostile_manifest_reaches_the_terminal_unescaped",
    ),
    Defence(
        "an empty tree taken for a wish",
        "reconciler/git/source.py",
        "        if not listing.files and not listing.problems:\n",
        "        if False:\n",
        f"{GIT_SOURCE}::test_nothing_left_is_an_error_and_never_a_wish_to_delete_everything",
    ),
    Defence(
        "token that a redirect carries away",
        "reconciler/git/command.py",
        'redirects = "false" if secret else "initial"',
        'redirects = "true"',
        "tests/reconciler/test_git_credentials.py"
        "::test_a_redirect_carries_the_token_to_no_other_server",
    ),
    Defence(
        "forged delivery of a webhook",
        "reconciler/web/proof.py",
        'return None if same else "its signature is missing or wrong"',
        "return None",
        f"{RECEIVER}::test_what_is_not_proved_is_refused_and_wakes_nobody",
    ),
    Defence(
        "delivery that comes again",
        "reconciler/web/seen.py",
        "return fresh",
        "return True",
        f"{RECEIVER}::test_a_delivery_that_comes_again_is_refused",
    ),
    Defence(
        "endless body",
        "reconciler/web/server.py",
        "BODY_BYTES_MAX: Final = 1_048_576",
        "BODY_BYTES_MAX: Final = 2**40",
        f"{RECEIVER}::test_the_largest_body_is_taken_and_one_byte_more_is_not",
    ),
    Defence(
        "unsigned commit under a signed one",
        "reconciler/trust/judgement.py",
        "    if not history.commits:  # It",
        "    if True:  # It",
        "tests/reconciler/test_signatures.py"
        "::test_an_unsigned_commit_under_a_signed_one_is_found",
    ),
    Defence(
        "poisoned row",
        "runner/pinning.py",
        "sound = kinds.digest(text).encode() == bytes(spec_hash)",
        "sound = True",
        "tests/reconciler/test_drift.py::test_a_poisoned_row_stops_its_own_tasks_and_no_others",
    ),
    Defence(
        "deletion of most of a repository",
        "reconciler/gate/gate.py",
        "    prune.blocks,\n",
        "",
        "tests/reconciler/test_prune.py::test_the_block_says_how_much_and_what_and_what_to_do",
    ),
    Defence(
        "protection that goes with its manifest",
        "reconciler/gate/gate.py",
        "    protection.blocks,\n",
        "",
        "tests/reconciler/test_protect.py"
        "::test_a_protected_resource_stays_when_its_manifest_goes_with_the_annotation",
    ),
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program, with the tests beside it."""
    folder = tmp_path_factory.mktemp("program")
    ignored = shutil.ignore_patterns("__pycache__")
    for package in ("runner", "reconciler"):
        shutil.copytree(PROJECT / package, folder / package, ignore=ignored)
    for name in ("tests", "pyproject.toml", "sample-repo", "docs"):
        (folder / name).symlink_to(PROJECT / name)
    return folder


def passes(program: Path, *tests: str) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", *tests],
        cwd=program,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.attack)
def test_without_its_defence_the_test_of_an_attack_is_red(
    program: Path, defence: Defence
) -> None:
    file = program / defence.file
    text = file.read_text(encoding="utf-8")
    assert text.count(defence.line) == 1, f"{defence.file} does not defend in this line"
    try:
        file.write_text(text.replace(defence.line, defence.without), encoding="utf-8")
        assert not passes(program, defence.test)
    finally:
        file.write_text(text, encoding="utf-8")
