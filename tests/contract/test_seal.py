"""What stands for a secret says whether it changed and nothing else; only the key opens it."""

import base64
import multiprocessing
from pathlib import Path

import home
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.contract import seal
from runner.contract.errors import Refused

KEY = base64.urlsafe_b64encode(bytes(32))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=4))
def test_what_was_sealed_opens_to_itself_and_shows_nothing(value: str) -> None:
    digest, ciphertext = seal.Sealer(KEY).seal(value)
    assert seal.Sealer(KEY).open(ciphertext) == value
    assert value not in digest.removeprefix("hmac-sha256:") or len(value) < 8
    assert digest == seal.Sealer(KEY).seal(value)[0]


def test_another_home_gives_another_digest_and_cannot_open(tmp_path: Path) -> None:
    one, two = seal.sealer(tmp_path / "one"), seal.sealer(tmp_path / "two")
    digest, ciphertext = one.seal("hunter2")
    assert two.seal("hunter2")[0] != digest
    with pytest.raises(Refused):
        two.open(ciphertext)


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = seal.sealer(tmp_path).seal("hunter2")[0]
    assert seal.sealer(tmp_path).seal("hunter2")[0] == first
    assert (tmp_path / seal.KEY_FILE).stat().st_mode & 0o777 == 0o600


def _seal_in(folder: Path, answers) -> None:
    answers.put(seal.sealer(folder).seal("hunter2")[0])


def test_processes_that_start_together_in_a_new_home_agree_on_one_key(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    for number in range(20):
        folder, answers = tmp_path / str(number), spawn.Queue()
        started = [spawn.Process(target=_seal_in, args=(folder, answers)) for _ in range(4)]
        for process in started:
            process.start()
        digests = {answers.get(timeout=30) for _ in started}
        for process in started:
            process.join()
        assert len(digests) == 1
        assert [item.name for item in folder.iterdir()] == [seal.KEY_FILE]


def test_a_host_with_another_key_is_told_where_to_get_it(
    tmp_path: Path, postgresql_url: str
) -> None:
    opened = home.opened(tmp_path / "one", postgresql_url)
    with opened.write() as connection:
        seal.same_key(connection, tmp_path / "two")  # Nothing is sealed yet.
        sealed = seal.sealer(tmp_path / "one").seal("hunter2")
        connection.exec_driver_sql("INSERT INTO sealed_secret VALUES (?, ?)", sealed)
        seal.same_key(connection, tmp_path / "one")
        with pytest.raises(Refused, match=r"copy secret\.key from the home of another host"):
            seal.same_key(connection, tmp_path / "two")
    opened.close()


@pytest.mark.parametrize("content", [b"", b"half a k"], ids=["empty", "torn"])
def test_a_damaged_key_is_refused_in_words_and_never_replaced(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / seal.KEY_FILE).write_bytes(content)
    with pytest.raises(Refused, match="is not a key"):
        seal.sealer(tmp_path)
    assert (tmp_path / seal.KEY_FILE).read_bytes() == content


@pytest.mark.parametrize(
    ("text", "values", "shown"),
    [
        pytest.param("key=hunter2!", ["hunter2"], "key=(secret)!", id="plain"),
        pytest.param("b aHVudGVyMg== e", ["hunter2"], "b (secret)== e", id="base64"),
        pytest.param("abcdef", ["abcd", "abcdef"], "(secret)", id="longest-first"),
        pytest.param("a cat", ["cat"], "a cat", id="too-short-to-mask"),
        pytest.param("nothing here", ["hunter2"], "nothing here", id="absent"),
    ],
)
def test_secret_values_are_masked(text: str, values: list[str], shown: str) -> None:
    assert seal.redact(text, values) == shown


@pytest.mark.parametrize(
    "written",
    [
        r"pass\"word é+/",
        r"pass\"word \u00e9+/",
        "pass%22word%20%C3%A9%2B%2F",
        "pass%22word+%C3%A9%2B%2F",
        "cGFzcyJ3b3JkIMOpKy8",
        "7061737322776f726420c3a92b2f",
        "7061737322776F726420C3A92B2F",
    ],
    ids=["json", "ascii json", "url", "form", "base64", "hex", "upper hex"],
)
def test_a_value_is_masked_however_it_is_written(written: str) -> None:
    assert seal.redact(f"<{written}>", ['pass"word é+/']) == "<(secret)>"


def test_no_part_of_a_value_is_left_where_a_text_is_cut() -> None:
    secret = "hunter2-hunter2"
    for filler in range(40):
        shown = seal.excerpt("x" * filler + secret * 3, 20, [secret])
        assert "hunt" not in shown
        assert len(shown) <= 20
