"""The key of the log is a file that its owner alone can read; each vouches for the next."""

from collections.abc import Iterator
from pathlib import Path

import home
import pytest

from reconciler.proof import keys, note, self_test
from reconciler.proof.keeper import Keeper
from runner.contract import audit, clock, errors, settings
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database
from runner.contract.settings import Settings


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = home.opened(tmp_path / "home")
    yield opened
    opened.close()


def loaded(database: Database, **environment: str) -> Settings:
    return settings.load(database.home, environment)


def begun(database: Database) -> str:
    """The name of a log that has an entry."""
    entry = Entry(type=EntryType.LOG_STARTED, actor="a", commit="none")
    with database.write() as connection:
        audit.append(connection, [entry], clock.now_us())
        return audit.name(connection)


def signed_with(database: Database, chosen: Settings) -> bytes:
    begun(database)
    found = Keeper(chosen, database, clock.now_us).step(at_once=True)
    assert found is not None
    return found.note.signatures[0].key_id


def test_a_setting_names_the_key_relative_to_the_home(database: Database) -> None:
    key = note.generate(begun(database))
    (database.home / "keys").mkdir()
    keys.write(database.home / "keys" / "log.key", key)
    assert signed_with(database, loaded(database, ORLOJ_AUDIT_KEY="keys/log.key")) == (
        key.verifier.key_id
    )
    assert not (database.home / "audit.key").exists()


def test_a_key_that_a_setting_names_is_never_made(database: Database) -> None:
    with pytest.raises(errors.SettingsInvalid, match=r"none\.key cannot be read"):
        signed_with(database, loaded(database, ORLOJ_AUDIT_KEY="none.key"))


def test_a_credential_of_systemd_comes_before_the_home(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = note.generate(begun(database))
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    keys.write(credentials / "audit.key", key)
    # What systemd makes looks like this where access lists let the service read it.
    (credentials / "audit.key").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert signed_with(database, loaded(database)) == key.verifier.key_id
    assert not (database.home / "audit.key").exists()
    (credentials / "audit.key").chmod(0o444)
    with pytest.raises(errors.SettingsInvalid, match="can be read by others"):
        signed_with(database, loaded(database))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        pytest.param("", "must hold one line", id="empty"),
        pytest.param("secret words", "holds no signing key", id="words"),
        pytest.param("PRIVATE+KEY+x+00000000+AAAA", "holds no signing key", id="half"),
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(
    database: Database, content: str, match: str
) -> None:
    begun(database)
    file = database.home / "audit.key"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(errors.SettingsInvalid, match=match) as raised:
        self_test.begin(loaded(database), database, clock.now_us())
    assert not content or content not in str(raised.value)


def test_the_key_of_a_witness_signs_no_log(database: Database) -> None:
    key = note.generate(begun(database), note.COSIGNATURE)
    keys.write(database.home / "audit.key", key)
    with pytest.raises(errors.SettingsInvalid, match="witness"):
        self_test.begin(loaded(database), database, clock.now_us())


def test_a_rotation_names_both_keys_in_the_log_and_the_old_one_signs_it(
    database: Database,
) -> None:
    chosen = loaded(database)
    signed_with(database, chosen)
    old = keys.signing(chosen, begun(database)).verifier
    for _ in range(2):
        with database.write() as connection:
            new = keys.rotate(chosen, connection, "person:ada", clock.now_us())
        keys.finish(chosen)
    with database.read() as connection:
        known = keys.known(connection)
        entries = [one.fields for one in audit.read(connection, type_prefix="log.key_rotated")]
    assert [one.number for one in known] == [0, 1, 2]
    assert note.verified(known[1].note, [old]) == [old]
    assert note.verified(known[2].note, [known[1].key]) == [known[1].key]
    assert entries[0]["reason"] == f"{old} hands over to {known[1].key}"
    assert entries[1]["reason"] == f"{known[1].key} hands over to {new}"
    assert entries[1]["actor"] == "person:ada"
    assert keys.signing(chosen, known[0].key.name).verifier == new


def test_what_a_rotation_left_half_done_replaces_no_other_key(database: Database) -> None:
    """A next key that the database never heard of takes the place of none."""
    chosen = loaded(database)
    first = signed_with(database, chosen)
    name = begun(database)
    keys.write(keys.unfinished(chosen), note.generate(name))
    assert signed_with(database, chosen) == first
    wrong = note.generate(name)
    (database.home / "audit.key").unlink()
    keys.write(database.home / "audit.key", wrong)
    with pytest.raises(errors.SettingsInvalid, match="put that key back"):
        signed_with(database, chosen)
    assert keys.signing(chosen, name).verifier == wrong.verifier


def test_a_key_in_a_folder_that_cannot_be_written_says_how_it_is_rotated(
    database: Database,
) -> None:
    key = note.generate(begun(database))
    keys.write(database.home / "given.key", key)
    # A name so long that the next key's is too long: no folder takes it, not even root's.
    file = database.home / ("k" * 252)
    (database.home / "given.key").rename(file)
    chosen = loaded(database, ORLOJ_AUDIT_KEY=file.name)
    assert signed_with(database, chosen) == key.verifier.key_id
    with (
        pytest.raises(errors.SettingsInvalid, match=r"docs/checkpoints\.md"),
        database.write() as connection,
    ):
        keys.rotate(chosen, connection, "person:ada", clock.now_us())
    assert signed_with(database, chosen) == key.verifier.key_id


def test_a_daemon_begins_with_an_entry_that_is_proved(database: Database) -> None:
    self_test.begin(loaded(database), database, clock.now_us())
    with database.read() as connection:
        assert [one.fields["type"] for one in audit.read(connection)] == ["log.started"]
        assert len(keys.known(connection)) == 1


def test_a_log_that_cannot_be_proved_begins_nothing(database: Database) -> None:
    for _ in range(3):
        begun(database)
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM audit_entry WHERE seq = 2")
    with pytest.raises(errors.AuditBroken, match="not all there"):
        self_test.begin(loaded(database), database, clock.now_us())
