"""Every checkpoint that was ever published to a remote is found there, newest first."""

from pathlib import Path

import pytest
from repository import git

from reconciler.git.credentials import Credentials
from reconciler.proof import remote
from reconciler.proof.remote import Place, Remote
from runner.contract import errors, settings

LOG = "orloj/01test"


@pytest.fixture(params=["sha1", "sha256"])
def origin(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    bare = tmp_path / "audit.git"
    git("init", "--quiet", "--bare", f"--object-format={request.param}", str(bare),
        folder=tmp_path)  # fmt: skip
    return bare


def publish(origin: Path, year: str, *texts: str) -> None:
    """Commit these as checkpoints, one after the other."""
    ref = f"refs/audit/{LOG}/{year}"
    stream = "".join(
        f"commit {ref}\ncommitter a <a@b> {number} +0000\ndata 0\n\n"
        f"M 100644 inline checkpoint\ndata {len(text)}\n{text}\n"
        for number, text in enumerate(texts, 1)
    )
    git("fast-import", "--quiet", folder=origin, given=stream.encode())


def asked(origin: Path) -> Remote:
    return Remote(Place(str(origin), 30.0), origin.parent / "mirror")


def test_all_years_are_read_newest_first(origin: Path) -> None:
    publish(origin, "2026", "one\n", "two\n", "two\n")
    publish(origin, "2027", "three\n")
    found = asked(origin).published(LOG)
    assert [one.text for one in found] == ["three\n", "two\n", "two\n", "one\n"]
    assert [one.committed_at for one in found] == [1_000_000, 3_000_000, 2_000_000, 1_000_000]
    assert len({one.commit for one in found}) == 4
    assert asked(origin).logs() == [LOG]


def test_what_was_published_since_is_found_with_the_same_mirror(origin: Path) -> None:
    publish(origin, "2026", "one\n")
    assert len(asked(origin).published(LOG)) == 1
    git("update-ref", "-d", f"refs/audit/{LOG}/2026", folder=origin)
    publish(origin, "2026", "other\n", "more\n")
    assert [one.text for one in asked(origin).published(LOG)] == ["more\n", "other\n"]


def test_a_remote_without_the_log_has_nothing_of_it(origin: Path) -> None:
    assert asked(origin).published(LOG) == []
    publish(origin, "2026", "one\n")
    assert asked(origin).published("orloj/01other") == []


def test_a_file_that_is_missing_or_too_large_is_read_as_empty(origin: Path) -> None:
    publish(origin, "2026", "x" * (remote.NOTE_BYTES_MAX + 1), "fine\n")
    assert [one.text for one in asked(origin).published(LOG)] == ["fine\n", ""]


def test_a_remote_that_is_not_there_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(errors.SourceError, match=r"audit\.remote|cannot be read"):
        Remote(Place(str(tmp_path / "none"), 30.0), tmp_path / "m").published(LOG)
    with pytest.raises(errors.SourceStalled, match=r"audit\.remote"):
        Remote(Place("ext::sh", 30.0), tmp_path / "m")
    with pytest.raises(errors.AuditBroken, match="cannot be the name"):
        Remote(Place(str(tmp_path), 30.0), tmp_path / "m").refs("../heads")


@pytest.mark.parametrize(
    ("text", "url", "expected"),
    [
        pytest.param("", "", None, id="nothing-set"),
        pytest.param(
            '[source]\nurl = "https://a/x"\ntoken_file = "/t"\n',
            "",
            Place("https://a/x", 60.0, Credentials(token_file="/t"), "source.url"),
            id="the-source-with-its-credentials",
        ),
        pytest.param(
            '[source]\nurl = "https://a/x"\ntoken_file = "/t"\n[audit]\nremote = "https://b/y"\n',
            "",
            Place("https://b/y", 60.0, Credentials()),
            id="another-address-gets-no-token-of-the-source",
        ),
        pytest.param(
            '[source]\nurl = "ssh://a/x"\nssh_key_file = "/k"\n[audit]\nssh_key_file = "/d"\n',
            "",
            Place("ssh://a/x", 60.0, Credentials(ssh_key_file="/d")),
            id="the-source-with-a-deploy-key-of-its-own",
        ),
        pytest.param(
            '[source]\nurl = "https://a/x"\ntoken_file = "/t"\n',
            "https://c/z",
            Place("https://c/z", 60.0, Credentials()),
            id="a-stranger-is-shown-nothing",
        ),
    ],
)
def test_where_checkpoints_go_and_what_opens_it(
    tmp_path: Path, text: str, url: str, expected: Place | None
) -> None:
    (tmp_path / "orloj.toml").write_text(text)
    assert remote.place(settings.load(tmp_path, {}), url) == expected
