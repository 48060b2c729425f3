"""A commit is applied only if somebody trusted signed it, and nothing of another is read."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import signing
from signing import SEAL, Signer, World, agent

from reconciler.git import commit_object
from reconciler.trust import program, ssh_signature
from runner.contract import errors

A, B, C = (agent(name) for name in "abc")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Signer]:
    folder = tmp_path_factory.mktemp("people")
    return {
        name: signing.ssh(folder, f"{name}@example.com") for name in ("dana", "omar", "mallory")
    }


@pytest.fixture(scope="module")
def dana(people: dict[str, Signer]) -> Signer:
    return people["dana"]


@pytest.fixture(scope="module")
def mallory(people: dict[str, Signer]) -> Signer:
    return people["mallory"]


@pytest.fixture(scope="module")
def pgp() -> Iterator[Path]:
    with signing.gnupg() as folder:
        yield folder


@pytest.fixture
def world(tmp_path: Path, dana: Signer) -> Iterator[World]:
    """A world that trusts Dana, in mode range, where her first commit is applied."""
    world = World(tmp_path)
    world.trusting(dana)
    world.push({"a.yaml": A}, dana)
    assert world.reasons() == []
    yield world
    world.close()


def openpgp_world(folder: Path, *signers: Signer, **source: str) -> World:
    world = World(folder)
    file = folder / "keys.asc"
    file.write_text("".join(signer.public for signer in signers))
    world.started(verify="range", openpgp_keys=str(file), **source)
    return world


# What is good.


@pytest.mark.parametrize("form", ["sha1", "sha256"])
@pytest.mark.parametrize("mode", ["head", "range"])
def test_commits_signed_with_a_trusted_ssh_key_are_applied(
    tmp_path: Path, dana: Signer, mode: str, form: str
) -> None:
    world = World(tmp_path, form)
    world.trusting(dana, mode=mode)
    world.push({"a.yaml": A}, dana)
    assert world.reasons() == []
    commit = world.push({"b.yaml": B}, dana)
    found = world.look().plan.target.provenance
    assert len(commit) == {"sha1": 40, "sha256": 64}[form]
    assert (found.signature, found.signer) == ("good", "dana@example.com")
    assert found.key in signing.run("ssh-keygen", "-lf", str(dana.home)).decode()
    world.close()


@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_commits_signed_with_a_trusted_openpgp_key_are_applied(
    tmp_path: Path, pgp: Path, form: str
) -> None:
    olga = signing.openpgp(pgp, f"olga-{form}@example.com")
    world = World(tmp_path, form)
    file = tmp_path / "keys.asc"
    file.write_text(olga.public)
    world.started(verify="range", openpgp_keys=str(file))
    world.push({"a.yaml": A}, olga)
    found = world.look().plan.target.provenance
    assert (found.signature, found.signer) == ("good", f"Olga-{form.title()} <{olga.name}>")
    assert len(found.key) == 40
    assert found.remarks == ()
    world.close()


def test_a_certificate_of_a_trusted_authority_is_trusted(
    tmp_path: Path, people: dict[str, Signer]
) -> None:
    authority, omar = people["dana"], signing.ssh(tmp_path, "carol@example.com")
    certify = ("-q", "-s", str(authority.home), "-I", "id", "-n", omar.name)
    signing.run("ssh-keygen", *certify, f"{omar.home}.pub")
    world = World(tmp_path / "w")
    file = tmp_path / "signers"
    file.write_text(f"*@example.com cert-authority {authority.public}\n")
    world.started(verify="range", allowed_signers=str(file))
    certified = Signer(
        omar.name, "", ("-c", "gpg.format=ssh", "-c", f"user.signingkey={omar.home}-cert.pub"),
        omar.home,
    )  # fmt: skip
    world.push({"a.yaml": A}, certified)
    assert world.look().plan.target.provenance.signer == "carol@example.com"
    world.push({"b.yaml": B}, omar)  # The same key without its certificate.
    assert world.reasons() == ["SignerUnknown"]
    world.close()


def test_without_verification_nothing_is_asked_and_it_is_said(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.push({"a.yaml": A})
    assert world.look().plan.target.provenance.signature == "none"
    world.close()


# Attacks.


def test_an_unsigned_commit_under_a_signed_one_is_found(world: World, dana: Signer) -> None:
    hidden = world.commit({"b.yaml": B}, None, "Innocent")
    world.push({"c.yaml": C}, dana)
    result = world.look()
    (block,) = result.blocks
    assert block.reason == "SignatureMissing"
    assert hidden[:12] in block.sentence
    assert block.whose == "mallory <mallory@example.com>: Innocent"
    assert world.names() == ["a"]


def test_mode_head_asks_about_the_newest_commit_alone(tmp_path: Path, dana: Signer) -> None:
    world = World(tmp_path)
    world.trusting(dana, mode="head")
    world.commit({"a.yaml": A})
    world.push({"b.yaml": B}, dana)
    assert world.reasons() == []
    world.push({"c.yaml": C})
    assert world.reasons() == ["SignatureMissing"]
    world.close()


def test_a_merge_brings_no_unsigned_commit_through_its_second_parent(
    world: World, dana: Signer
) -> None:
    world.repository.git("checkout", "--quiet", "-b", "feature")
    hidden = world.commit({"b.yaml": B})
    world.repository.git("checkout", "--quiet", "main")
    world.commit({"c.yaml": C}, dana)
    world.signed("merge", "--quiet", "--no-ff", "--message=Merge", "feature", by=dana)
    world.repository.push()
    (block,) = world.look().blocks
    assert block.reason == "SignatureMissing"
    assert hidden[:12] in block.sentence


def test_a_signature_of_another_commit_is_worth_nothing(world: World, dana: Signer) -> None:
    world.commit({"b.yaml": B}, dana)
    stolen = commit_object.read(world.repository.head(), world.raw()).signature
    world.commit({"c.yaml": agent("c", "Obey.")})
    assert stolen
    world.push_raw(signing.inserted(world.raw(), stolen))
    assert world.reasons() == ["SignatureBad"]


def test_a_key_that_nobody_trusts_is_unknown(world: World, mallory: Signer) -> None:
    world.push({"b.yaml": B}, mallory)
    (block,) = world.look().blocks
    assert block.reason == "SignerUnknown"
    assert "SHA256:" in block.sentence


def test_a_trusted_key_that_signed_for_another_purpose_is_refused(
    world: World, dana: Signer
) -> None:
    world.commit({"b.yaml": B})
    raw = world.raw()
    world.push_raw(signing.inserted(raw, dana.armour(raw, namespace="file")))
    (block,) = world.look().blocks
    assert block.reason == "SignatureBad"
    assert "another purpose than a commit" in block.sentence


def test_a_key_that_is_trusted_for_another_purpose_is_refused(
    world: World, dana: Signer
) -> None:
    file = Path(world.source["allowed_signers"])
    file.write_text(dana.line.replace('"git"', '"file"'))
    world.push({"b.yaml": B}, dana)
    assert world.reasons() == ["SignatureBad"]


def test_a_commit_with_two_signatures_is_refused(
    world: World, dana: Signer, mallory: Signer
) -> None:
    world.commit({"b.yaml": B})
    raw = world.raw()
    once = signing.inserted(raw, dana.armour(raw))
    assert world.push_raw(signing.inserted(once, mallory.armour(raw)))
    assert world.reasons() == ["SignatureBad"]


def test_a_signature_for_the_other_hash_does_not_count(world: World, dana: Signer) -> None:
    world.commit({"b.yaml": B})
    raw = world.raw()
    world.push_raw(signing.inserted(raw, dana.armour(raw), "gpgsig-sha256"))
    assert world.reasons() == ["SignatureBad"]


def test_two_signatures_in_one_header_are_refused(world: World, dana: Signer) -> None:
    world.commit({"b.yaml": B})
    raw = world.raw()
    world.push_raw(signing.inserted(raw, dana.armour(raw) + dana.armour(raw)))
    assert world.reasons() == ["SignatureBad"]


def test_a_signed_tag_signs_no_commit(world: World, dana: Signer) -> None:
    world.commit({"b.yaml": B})
    by = ("-c", "user.name=Dana", "-c", "user.email=dana@example.com")
    world.repository.git(*dana.options, *by, "tag", "--sign", "--message=v1", "v1")
    world.repository.git("push", "--quiet", "origin", "v1")
    world.started(ref="refs/tags/v1")
    assert world.reasons() == ["SignatureMissing"]


def test_the_signature_of_a_merged_tag_is_not_that_of_the_merge(
    world: World, dana: Signer
) -> None:
    world.repository.git("checkout", "--quiet", "-b", "feature")
    world.commit({"b.yaml": B}, dana)
    by = ("-c", "user.name=Dana", "-c", "user.email=dana@example.com")
    world.repository.git(*dana.options, *by, "tag", "--sign", "--message=v1", "v1")
    world.repository.git("checkout", "--quiet", "main")
    world.signed("merge", "--quiet", "--no-ff", "--message=Merge", "v1", by=None)
    assert b"\nmergetag " in world.raw()
    world.repository.push()
    assert world.reasons() == ["SignatureMissing"]


@pytest.mark.parametrize("when", ["2019-06-01T00:00:00Z", "2030-01-01T00:00:00Z"])
def test_an_expired_key_is_refused_whatever_time_the_commit_gives(
    world: World, dana: Signer, when: str
) -> None:
    file = Path(world.source["allowed_signers"])
    line = dana.line.replace("namespaces", 'valid-before="20200101",namespaces')
    file.write_text(line)
    world.commit({"b.yaml": B})
    old = world.raw().decode()
    stamp = signing.run("date", "-ud", when, "+%s").decode().strip()
    head, _, rest = old.partition("\ncommitter ")
    committer, _, message = rest.partition("\n")
    name = committer.rpartition("> ")[0]
    raw = f"{head}\ncommitter {name}> {stamp} +0000\n{message}".encode()
    world.push_raw(signing.inserted(raw, dana.armour(raw)))
    (block,) = world.look().blocks
    assert block.reason == "SignerUnknown"
    assert "has expired" in block.sentence


def test_a_revoked_ssh_key_is_refused(world: World, dana: Signer, tmp_path: Path) -> None:
    (tmp_path / "revoked").write_text(dana.public + "\n")
    world.started(revoked_signers=str(tmp_path / "revoked"))
    world.push({"b.yaml": B}, dana)
    assert world.reasons() == ["SignatureBad"]


def test_an_rsa_key_that_is_too_short_is_refused(tmp_path: Path, dana: Signer) -> None:
    short = signing.ssh(tmp_path, "short@example.com", "-t", "rsa", "-b", "1024")
    world = World(tmp_path / "w")
    world.trusting(dana, short)
    world.push({"a.yaml": A}, short)
    (block,) = world.look().blocks
    assert "RSA key has 1024 bits" in block.sentence
    world.close()


def test_openpgp_keys_that_expired_or_were_revoked_or_are_weak_are_refused(
    tmp_path: Path, pgp: Path
) -> None:
    past, later = "20240101T000000", "20240102T000000"
    old = signing.openpgp(
        *(pgp, "old@example.com", "ed25519"),
        *("--faked-system-time", past, "20240201T000000"),
    )
    gone = signing.openpgp(pgp, "gone@example.com")
    short = signing.openpgp(pgp, "short@example.com", "rsa1024")
    sound = signing.openpgp(pgp, "sound@example.com")
    fingerprint = signing.run(
        "gpg", "--with-colons", "--list-keys", gone.name, GNUPGHOME=str(pgp)
    ).decode()
    number = next(
        line.split(":")[9] for line in fingerprint.splitlines() if line.startswith("fpr")
    )
    made = (pgp / "openpgp-revocs.d" / f"{number}.rev").read_text()
    world = openpgp_world(tmp_path, old, gone, short, sound)
    world.commit({"a.yaml": A})
    raw = world.raw()
    revoked = gone.armour(raw)
    with (tmp_path / "keys.asc").open("a") as file:
        file.write(made.replace(":-----BEGIN", "-----BEGIN"))
    for armour, reason, why in (
        (old.armour(raw, "--faked-system-time", later), "SignerUnknown", "has expired"),
        (revoked, "SignatureBad", "was revoked"),
        (short.armour(raw), "SignatureBad", "1024 bits"),
        (sound.armour(raw, "--digest-algo", "SHA1"), "SignatureBad", "too weak"),
        (sound.armour(raw) + sound.armour(raw), "SignatureBad", "not one whole"),
        (sound.armour(raw + b"x"), "SignatureBad", "not over this commit"),
    ):
        world.push_raw(signing.inserted(raw, armour))
        (block,) = world.look().blocks
        assert block.reason == reason, why
        assert why in block.sentence
    world.push_raw(signing.inserted(raw, sound.armour(raw)))
    assert world.reasons() == []
    world.close()


def test_an_openpgp_key_of_the_users_own_keyring_is_not_trusted(
    tmp_path: Path, pgp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = signing.openpgp(pgp, "mine@example.com")
    trusted = signing.openpgp(pgp, "trusted@example.com")
    monkeypatch.setenv("GNUPGHOME", str(pgp))
    monkeypatch.setenv("HOME", str(pgp))
    world = openpgp_world(tmp_path, trusted)
    world.push({"a.yaml": A}, mine)
    assert world.reasons() == ["SignerUnknown"]
    world.close()


def test_grafts_and_replaced_objects_hide_no_commit(world: World, dana: Signer) -> None:
    applied = world.repository.head()
    world.commit({"b.yaml": B})
    newest = world.push({"c.yaml": C}, dana)
    world.reconciler.sight()
    mirror = world.home / "git" / "mirror.git"
    (mirror / "info").mkdir(exist_ok=True)
    (mirror / "info" / "grafts").write_text(f"{newest} {applied}\n")
    assert world.reasons() == ["SignatureMissing"]
    (mirror / "info" / "grafts").unlink()
    world.mirror("replace", "--graft", newest, applied)
    assert world.reasons(forced=True) == ["SignatureMissing"]


def test_a_history_that_breaks_off_is_not_taken_for_its_beginning(
    world: World, dana: Signer
) -> None:
    world.commit({"b.yaml": B})
    newest = world.push({"c.yaml": C}, dana)
    world.reconciler.sight()
    (world.home / "git" / "mirror.git" / "shallow").write_text(f"{newest}\n")
    assert world.reasons() == ["HistoryIncomplete"]


def test_a_principal_with_escapes_reaches_no_terminal(world: World, dana: Signer) -> None:
    file = Path(world.source["allowed_signers"])
    file.write_text(f'"evil\x1b[31m\u202e@x" namespaces="git" {dana.public}\n')
    world.push({"b.yaml": B}, dana)
    signer = world.look().plan.target.provenance.signer
    assert signer.startswith("evil")
    assert signer.isprintable()


def test_huge_messages_and_signatures_are_not_read(world: World, dana: Signer) -> None:
    world.commit({"b.yaml": B})
    world.push_raw(world.raw() + b"x" * 300_000)
    world.push({"c.yaml": C}, dana)
    (block,) = world.look().blocks
    assert "too large" in block.sentence
    world.commit({"c.yaml": None}, None)
    raw = world.raw()
    armour = b"-----BEGIN SSH SIGNATURE-----\n" + b"A" * 300_000
    world.push_raw(signing.inserted(raw, armour))
    result = world.look()
    assert (result.outcome, result.error.reason) == ("failed", "TooLarge")
    assert world.names() == ["a"]


def test_nothing_of_an_untrusted_commit_is_parsed(world: World) -> None:
    world.push({"b.yaml": "kind: [broken"})
    result = world.look()
    assert [block.reason for block in result.blocks] == ["SignatureMissing"]
    assert result.problems == ()
    assert world.reconciler.preview().problems == ()
    assert world.rows("SELECT count(*) FROM blob_cache") == [(1,)]


def test_a_block_names_the_person_to_people_and_not_to_the_log(world: World) -> None:
    world.push({"b.yaml": B}, None, "Secret subject")
    (block,) = world.look().blocks
    assert "mallory" in block.whose
    (entry,) = world.log("manifest.rejected")
    assert "SignatureMissing" in entry["reason"]
    assert "mallory" not in str(entry)


# Keys.


@pytest.mark.parametrize(
    ("setting", "content", "words"),
    [
        ("allowed_signers", None, "is not there"),
        ("allowed_signers", b"", "names no signer"),
        ("allowed_signers", b"# nobody\n\n", "names no signer"),
        ("allowed_signers", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key"),
        ("openpgp_keys", None, "is not there"),
        ("openpgp_keys", b"junk", "no armored OpenPGP"),
        ("revoked_signers", None, "is not there"),
        ("revoked_signers", b"dana@x ssh-ed25519 AAAA\n", "no public key in line 1"),
        ("allowed_signers", b"x" * 1_100_000, "larger than"),
    ],
)
def test_a_file_of_keys_that_cannot_be_used_blocks(
    world: World, dana: Signer, setting: str, content: bytes | None, words: str
) -> None:
    file = world.folder / "broken"
    if content is not None:
        file.write_bytes(content)
    world.started(**{setting: str(file)})
    world.push({"b.yaml": B}, dana)
    (block,) = world.look().blocks
    assert block.reason == "KeysUnusable"
    assert words in block.sentence
    assert world.names() == ["a"]


def test_a_folder_in_the_place_of_a_file_of_keys_blocks(world: World, dana: Signer) -> None:
    world.started(allowed_signers=str(world.folder))
    world.push({"b.yaml": B}, dana)
    assert world.reasons() == ["KeysUnusable"]


def test_no_keys_are_no_trust(tmp_path: Path, dana: Signer) -> None:
    world = World(tmp_path, verify="range")
    world.push({"a.yaml": A}, dana)
    assert world.reasons() == ["KeysMissing"]
    world.close()


@pytest.mark.parametrize("name", ["ssh-keygen", "gpg"])
def test_a_program_that_is_not_installed_blocks_and_says_what_to_install(
    world: World, dana: Signer, pgp: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(program, "_SEARCH", "/nonexistent")
    if name == "gpg":
        dana = signing.openpgp(pgp, "missing@example.com")
        (world.folder / "keys.asc").write_text(dana.public)
        world.started(openpgp_keys=str(world.folder / "keys.asc"))
    world.push({"b.yaml": B}, dana)
    (block,) = world.look().blocks
    assert block.reason == "SignatureToolMissing"
    assert f"{name} is not installed" in block.sentence


# Keys in the repository.


def test_a_key_in_the_repository_counts_once_its_commit_is_applied(
    world: World, people: dict[str, Signer]
) -> None:
    dana, omar = people["dana"], people["omar"]
    world.started(signers_path="trust/signers")
    world.push({"trust/signers": dana.line + omar.line}, dana)
    assert world.reasons() == []
    world.started(allowed_signers="")
    world.push({"b.yaml": B}, omar)
    assert world.reasons() == []
    world.push({"trust/signers": omar.line}, omar)
    assert world.reasons() == []
    world.push({"c.yaml": C}, dana)
    assert world.reasons() == ["SignerUnknown"]


def test_a_commit_cannot_bring_the_key_that_it_is_trusted_for(
    world: World, dana: Signer, mallory: Signer
) -> None:
    world.started(signers_path="signers")
    world.push({"signers": dana.line}, dana)
    assert world.reasons() == []
    world.commit({"signers": dana.line + mallory.line}, mallory)
    world.push({"b.yaml": B}, mallory)
    assert set(world.reasons()) == {"SignerUnknown"}
    assert world.names() == ["a"]


def test_an_openpgp_key_in_the_repository_is_known_by_its_content(
    world: World, dana: Signer, pgp: Path
) -> None:
    vera = signing.openpgp(pgp, "vera@example.com")
    world.started(signers_path="signers")
    world.push({"signers": vera.public}, dana)
    assert world.reasons() == []
    world.push({"b.yaml": B}, vera)
    assert world.reasons() == []


def test_the_first_commit_cannot_vouch_for_itself(tmp_path: Path, dana: Signer) -> None:
    world = World(tmp_path, verify="range", signers_path="signers")
    world.push({"a.yaml": A, "signers": dana.line}, dana)
    (block,) = world.look().blocks
    assert block.reason == "KeysMissing"
    assert "nothing was applied yet" in block.sentence
    world.close()


def test_keys_of_a_commit_that_nobody_verified_are_not_believed(
    tmp_path: Path, mallory: Signer
) -> None:
    world = World(tmp_path)
    world.push({"a.yaml": A, "signers": mallory.line}, mallory)
    assert world.reasons() == []
    world.started(verify="range", signers_path="signers")
    world.push({"b.yaml": B}, mallory)
    (block,) = world.look().blocks
    assert block.reason == "KeysMissing"
    assert "nobody verified" in block.sentence
    world.close()


def test_a_broken_file_of_keys_in_the_repository_trusts_nobody_and_locks_nobody_out(
    world: World, people: dict[str, Signer], pgp: Path
) -> None:
    dana, rita = people["dana"], signing.openpgp(pgp, "rita@example.com")
    (world.folder / "keys.asc").write_text(rita.public)
    world.started(signers_path="signers", openpgp_keys=str(world.folder / "keys.asc"))
    eve = signing.openpgp(pgp, "eve@example.com")
    cut = eve.public + "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
    world.push({"signers": cut}, dana)
    assert world.reasons() == []
    world.push({"b.yaml": B}, eve)
    assert world.reasons() == ["SignerUnknown"]
    world.repository.git("reset", "--quiet", "--hard", "HEAD~1")
    world.push({"signers": eve.public}, rita)
    assert world.reasons() == []
    world.push({"b.yaml": B}, eve)
    assert world.reasons() == []


# Seals, and how far back.


def test_a_seal_vouches_for_what_came_before_it_and_not_for_what_follows(
    tmp_path: Path, dana: Signer
) -> None:
    world = World(tmp_path)
    world.trusting(dana)
    world.commit({"a.yaml": A})
    seal = world.push({}, dana, SEAL)
    result = world.look()
    assert result.outcome == "applied"
    assert result.plan.target.provenance.remarks == (
        f"commit {seal[:12]} seals all that came before it",
    )
    world.commit({"b.yaml": B})
    world.push({"c.yaml": C}, dana)
    assert world.reasons() == ["SignatureMissing"]
    world.close()


def test_a_seal_that_nobody_trusted_signed_seals_nothing(
    tmp_path: Path, dana: Signer, mallory: Signer
) -> None:
    world = World(tmp_path)
    world.trusting(dana)
    world.commit({"a.yaml": A})
    world.commit({}, mallory, SEAL)
    world.commit({}, None, SEAL)
    world.push({"b.yaml": B}, dana)
    assert set(world.reasons()) == {"SignatureMissing", "SignerUnknown"}
    world.close()


def test_a_seal_does_not_vouch_for_a_branch_beside_it(tmp_path: Path, dana: Signer) -> None:
    world = World(tmp_path)
    world.trusting(dana)
    world.commit({"a.yaml": A})
    world.repository.git("checkout", "--quiet", "-b", "beside")
    hidden = world.commit({"b.yaml": B})
    world.repository.git("checkout", "--quiet", "main")
    world.commit({}, dana, SEAL)
    world.signed("merge", "--quiet", "--no-ff", "--message=Merge", "beside", by=dana)
    world.repository.push()
    (block,) = world.look().blocks
    assert hidden[:12] in block.sentence
    world.close()


def test_a_range_that_is_too_long_asks_for_a_seal(
    world: World, dana: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.git.history.COMMITS_MAX", 3)
    for number in range(4):
        world.push({"b.yaml": agent("b", f"Be {number}.")}, dana)
    assert world.reasons() == ["RangeTooLong"]
    world.push({}, dana, SEAL)
    assert world.reasons() == []


def test_a_judgement_that_takes_too_long_is_ended(
    world: World, dana: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.trust.verifier.TIME_MAX_US", 0)
    world.push({"b.yaml": B}, dana)
    assert world.reasons() == ["RangeTooLong"]
    assert world.names() == ["a"]


def test_a_trailer_that_is_quoted_in_the_text_seals_nothing() -> None:
    for message in (
        "Seal\n\nOrloj-Seal: true\n\nand so on",
        "Orloj-Seal: true",
        "Seal\n\nas I said\nOrloj-Seal: true",
    ):
        assert commit_object.trailers(message) == ()
    assert commit_object.trailers("S\n\nA: b\nOrloj-Seal:  true \n c\n")[1] == (
        "Orloj-Seal",
        "true c",
    )


# Read in one way only.


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda raw: raw + b"x", "not what its hash says"),
        (lambda raw: raw.replace(b"\n\n", b"\ntree " + b"0" * 40 + b"\n\n", 1), "order"),
        (lambda raw: raw.replace(b"author", b"note x\nauthor", 1), "order"),
        (lambda raw: raw + b"\0hidden", "null byte"),
    ],
    ids=["content", "two trees", "early header", "null byte"],
)
def test_a_commit_that_could_be_read_in_two_ways_has_a_fault(
    tmp_path: Path, damage: object, fault: str
) -> None:
    world = World(tmp_path)
    world.commit({"a.yaml": A})
    raw = world.raw()
    damaged = damage(raw)  # type: ignore[operator]
    sha = world.repository.head()
    if "hash" not in fault:
        stored = ("hash-object", "-t", "commit", "--literally", "--stdin")
        sha = world.repository.git(*stored, given=damaged)
    assert fault in commit_object.read(sha, damaged).fault
    assert commit_object.read(world.repository.head(), raw).fault == ""
    world.close()


def test_a_signature_that_is_cut_anywhere_is_not_one(dana: Signer) -> None:
    whole = dana.armour(b"x")
    assert ssh_signature.read(whole).fault == ""
    for end in range(0, len(whole) - 30, 7):
        cut = whole[:end] + b"\n-----END SSH SIGNATURE-----\n"
        assert ssh_signature.read(cut).fault


def test_a_program_that_hangs_makes_the_pass_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_TIMEOUT_S", 0.0)
    with pytest.raises(errors.SourceWaiting, match="did not answer"):
        program.run("gpg", ["--version"])
