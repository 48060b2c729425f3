"""Whoever is to be told is told what happened, once for each commit and state, and no secret.

The choice and the letters are pure; the outbox is tried on both databases; what is sent goes
to a real server that answers badly. Seen red without: overtaking, waiting for an older status,
once for each state, keeping what was taken, moving the cursor, refusing redirects, masking, the
deadline, each escape of Slack's, https alone, telling that trouble is over, silence about
notifications.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from home import opened
from local_server import Answer, LocalServer, Received

from reconciler.event import events
from reconciler.event.events import Event, EventSeverity
from reconciler.notify import choice, outbox, post
from reconciler.notify.letter import letter
from reconciler.notify.notice import Notice, Status
from reconciler.notify.post import Reply
from runner.contract import settings
from runner.contract.database import Database
from runner.contract.errors import SettingsInvalid
from runner.contract.web_settings import Notify, where_to_tell

TOKEN = "token-of-a-canary-0123456789"
COMMIT = "c" * 40


def target(kind: str = "webhook", **more: Any) -> Notify:
    needs: dict[str, dict[str, str]] = {
        "webhook": {"url": "http://127.0.0.1:1/x", "secret_file": "secret"},
        "slack": {"url_file": "secret"},
    }
    status = {"url": "http://127.0.0.1:1/api", "repository": "o/r", "token_file": "secret"}
    return Notify(**{"type": kind, **needs.get(kind, status), **more})


def event(
    severity: str = "info", reason: str = "Applied", message: str = "m", **more: Any
) -> Event:
    return Event(
        source=more.pop("source", "default"),
        severity=EventSeverity(severity),
        reason=reason,
        message=message,
        commit=more.pop("commit", COMMIT),
        **more,
    )


BAD = event("error", "ManifestInvalid", "a.yaml:1:1: broken")
FROZEN = event("warning", "Frozen", "until Monday")
WELL = event()


# Who is told what.


@pytest.mark.parametrize(
    ("given", "happened", "expected"),
    [
        pytest.param({}, WELL, True, id="everything"),
        pytest.param({"severity": "error"}, FROZEN, False, id="too little"),
        pytest.param({"severity": "warning"}, BAD, True, id="more than enough"),
        pytest.param({"reasons": ["Manifest*"]}, BAD, True, id="its reason"),
        pytest.param({"reasons": ["Manifest*"]}, WELL, False, id="another reason"),
        pytest.param({"include": ["*broken*"]}, BAD, True, id="its message"),
        pytest.param({"include": ["broken"]}, BAD, False, id="part of its message"),
        pytest.param({"exclude": ["*broken*"]}, BAD, False, id="a message to leave out"),
        pytest.param({"sources": ["default"]}, WELL, True, id="its repository"),
        pytest.param({"sources": ["b"]}, WELL, False, id="another repository"),
        pytest.param({}, event("warning", choice.NOT_TOLD), False, id="of notifications"),
    ],
)
def test_a_target_is_told_what_it_asks_for(
    given: dict[str, Any], happened: Event, expected: bool
) -> None:
    assert choice.wanted(target(**given), happened, troubled=False) is expected


@pytest.mark.parametrize(
    ("given", "happened", "expected"),
    [
        pytest.param({"severity": "error"}, WELL, True, id="applied"),
        pytest.param({"reasons": ["X"]}, event(reason="Recovered"), True, id="recovered"),
        pytest.param({"severity": "error"}, event(reason="DriftHealed"), False, id="other"),
        pytest.param({"sources": ["b"]}, WELL, False, id="another repository"),
    ],
)
def test_who_heard_of_trouble_hears_that_it_is_over(
    given: dict[str, Any], happened: Event, expected: bool
) -> None:
    assert choice.wanted(target(**given), happened, troubled=True) is expected


@pytest.mark.parametrize(
    ("happened", "expected"),
    [
        pytest.param(WELL, Status.SUCCESS, id="applied"),
        pytest.param(event(reason="Recovered"), Status.SUCCESS, id="recovered"),
        pytest.param(FROZEN, Status.PENDING, id="frozen"),
        pytest.param(BAD, Status.FAILURE, id="rejected"),
        pytest.param(event("error", "Reverted"), Status.FAILURE, id="reverted"),
        pytest.param(event(reason="Other"), None, id="something else"),
        pytest.param(event("warning", "Drift", resource="a/b"), None, id="one resource"),
        pytest.param(event("error", "RefNotFound", commit=None), None, id="no commit"),
    ],
)
def test_an_event_says_something_of_its_commit_or_nothing(
    happened: Event, expected: Status | None
) -> None:
    assert choice.status(happened) is expected


@pytest.mark.parametrize(
    ("new", "told", "expected"),
    [
        (Status.PENDING, None, True),
        (Status.PENDING, Status.PENDING, False),
        (Status.SUCCESS, Status.PENDING, True),
        (Status.FAILURE, Status.SUCCESS, True),
        (Status.SUCCESS, Status.FAILURE, True),
        (Status.PENDING, Status.SUCCESS, False),
        (Status.PENDING, Status.FAILURE, True),
    ],
)
def test_a_status_is_told_when_it_says_more(
    new: Status, told: Status | None, expected: bool
) -> None:
    assert choice.is_news(new, told) is expected


# The outbox.


class Box:
    """An outbox of one target, on a real database."""

    def __init__(self, database: Database, given: Notify) -> None:
        self.database = database
        self.target = given
        with database.write() as connection:
            outbox.begin(connection, ["t"])

    def happen(self, *happened: Event, now_us: int = 0) -> None:
        with self.database.write() as connection:
            for one in happened:
                events.record(connection, one, now_us)

    def fill(self, now_us: int = 0) -> None:
        with self.database.write() as connection:
            outbox.fill(connection, "t", self.target, now_us)

    def take(self, now_us: int = 0) -> Notice | None:
        with self.database.write() as connection:
            return outbox.take(connection, "t", now_us)

    def close(self, notice: Notice | None, error: str | None = None) -> bool:
        assert notice is not None
        with self.database.write() as connection:
            return outbox.close(connection, notice.id, error, 0)

    def states(self) -> list[tuple[str, str | None]]:
        """Oldest first."""
        with self.database.read() as connection:
            found = outbox.listed(connection, None, 5_000)
        return [(one.state.value, one.status) for one in reversed(found)]


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    database = opened(tmp_path / "home", database_url)
    yield database
    database.close()


def test_every_event_makes_one_row_however_often_one_looks(database: Database) -> None:
    box = Box(database, target())
    box.happen(WELL, BAD)
    box.fill()
    box.fill()
    assert [state for state, _ in box.states()] == ["waiting", "waiting"]
    with database.read() as connection:
        assert not outbox.behind(connection, "t")


def test_a_target_that_is_new_hears_nothing_of_the_past(database: Database) -> None:
    with database.write() as connection:
        events.record(connection, BAD, 0)
    box = Box(database, target())
    box.fill()
    assert box.states() == []
    box.happen(WELL)
    box.fill()
    assert len(box.states()) == 1


def test_what_happened_days_ago_is_not_told(database: Database) -> None:
    box = Box(database, target())
    box.happen(BAD, now_us=0)
    box.happen(WELL, now_us=1)
    box.fill(outbox.NEWS_US + 1)
    with database.read() as connection:
        (told,) = outbox.listed(connection, None, 10)
    assert told.event.reason == "Applied"


def test_an_event_that_repeats_is_told_once(database: Database) -> None:
    box = Box(database, target())
    box.happen(BAD, BAD)
    box.fill()
    box.happen(BAD)
    box.fill()
    assert len(box.states()) == 1


def test_trouble_that_is_over_is_told_over_the_bar_of_severity(database: Database) -> None:
    box = Box(database, target(severity="error"))
    box.happen(WELL, BAD, WELL, event(message="another"))
    box.fill()
    assert len(box.states()) == 2
    with database.read() as connection:
        told = [one.event.reason for one in outbox.listed(connection, None, 10)]
    assert told == ["Applied", "ManifestInvalid"]


def test_a_status_is_told_once_for_each_commit_and_state(database: Database) -> None:
    box = Box(database, target("github-status"))
    box.happen(BAD, event("error", "Other"), event("error", "Other", commit="d" * 40))
    box.fill()
    assert box.states() == [("waiting", "failure"), ("waiting", "failure")]


def test_a_newer_status_overtakes_what_was_not_sent_yet(database: Database) -> None:
    box = Box(database, target("github-status"))
    box.happen(FROZEN, WELL)
    box.fill()
    assert box.states() == [("overtaken", "pending"), ("waiting", "success")]
    notice = box.take()
    assert notice is not None
    assert notice.status is Status.SUCCESS


def test_a_newer_status_waits_until_an_older_one_is_surely_over(database: Database) -> None:
    """Another host may be sending the older one: it must not arrive last."""
    box = Box(database, target("github-status"))
    box.happen(FROZEN)
    box.fill()
    older = box.take()
    box.happen(WELL)
    box.fill()
    assert box.take(outbox.TAKEN_US - 1) is None
    assert not box.close(older)
    newer = box.take(outbox.TAKEN_US)
    assert newer is not None
    assert newer.status is Status.SUCCESS
    assert box.close(newer)
    assert box.states() == [("overtaken", "pending"), ("sent", "success")]


def test_a_row_in_the_hands_of_a_sender_is_nobody_elses_for_half_a_minute(
    database: Database,
) -> None:
    box = Box(database, target())
    box.happen(WELL)
    box.fill()
    first = box.take(5)
    assert first is not None
    assert box.take(4 + outbox.TAKEN_US) is None
    again = box.take(5 + outbox.TAKEN_US)
    assert again is not None
    assert (again.id, again.attempts) == (first.id, 2)
    assert [box.close(first), box.close(again)] == [True, False]


def test_a_status_that_was_given_up_is_tried_again_with_the_next_event(
    database: Database,
) -> None:
    box = Box(database, target("github-status"))
    box.happen(BAD)
    box.fill()
    box.close(box.take(), "it answered 422")
    box.happen(event("error", "Other"))
    box.fill()
    assert box.states() == [("failed", "failure"), ("waiting", "failure")]


def test_what_is_closed_makes_room_and_what_waits_stays(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "KEPT_MAX", 3)
    box = Box(database, target())
    box.happen(*(event(message=str(number)) for number in range(3)))
    box.fill()
    first, second = box.take(), box.take()
    box.close(first)
    box.close(second)
    box.happen(*(event(message=f"later {number}") for number in range(3)))
    box.fill()
    assert [state for state, _ in box.states()] == ["waiting"] * 4


# The letters.


def notice(happened: Event = WELL, status: Status | None = None) -> Notice:
    return Notice(
        id="01k", target="t", event=happened, status=status, happened_at=0, attempts=1
    )


@pytest.mark.parametrize(
    ("kind", "path", "header", "body"),
    [
        pytest.param(
            "github-status",
            f"/api/repos/o/r/statuses/{COMMIT}",
            ("Authorization", f"Bearer {TOKEN}"),
            {"state": "failure", "context": "orloj/default", "description": "R: m"},
            id="github",
        ),
        pytest.param(
            "gitea-status",
            f"/api/repos/o/r/statuses/{COMMIT}",
            ("Authorization", f"token {TOKEN}"),
            {"state": "failure", "context": "orloj/default", "description": "R: m"},
            id="gitea",
        ),
        pytest.param(
            "gitlab-status",
            f"/api/projects/o%2Fr/statuses/{COMMIT}",
            ("PRIVATE-TOKEN", TOKEN),
            {"state": "failed", "name": "orloj/default", "description": "R: m"},
            id="gitlab",
        ),
    ],
)
def test_a_status_is_said_as_its_host_takes_it(
    kind: str, path: str, header: tuple[str, str], body: dict[str, str]
) -> None:
    made = letter(target(kind), notice(event("error", "R"), Status.FAILURE), TOKEN, 0)
    assert made.url == f"http://127.0.0.1:1{path}"
    assert made.headers[header[0]] == header[1]
    assert json.loads(made.body) == body
    assert TOKEN not in repr(made)


def test_a_webhook_is_signed_over_its_bytes_and_its_time() -> None:
    made = letter(target(), notice(), TOKEN, 1_700_000_000)
    signed = b"1700000000." + made.body
    digest = hmac.new(TOKEN.encode(), signed, hashlib.sha256).hexdigest()
    assert made.headers["Orloj-Signature"] == f"t=1700000000,v1={digest}"
    assert made.headers["Idempotency-Key"] == "01k"
    said = json.loads(made.body)
    assert made.body == json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    assert (said["reason"], said["commit"]) == ("Applied", COMMIT)


HOSTILE = (
    "<!channel> <@U1> @here <https://evil|click> *b* `code` & \u202e\x1b[2J\r\n\x00"
    '"},"text":"x" :bomb:'
)


def test_a_hostile_subject_does_nothing_in_slack() -> None:
    happened = event(message=f"1 created: {HOSTILE}", reason="<!here>", source="default")
    text = json.loads(letter(target("slack"), notice(happened), "https://x", 0).body)["text"]
    assert not re.search(r"<|>|[\x00-\x1f\u202e\x1b]", text)
    # Everything from outside stands between backticks, in pairs.
    assert text.count("`") == 8
    outside = "".join(text.split("`")[::2])
    assert outside == "INFO  of  at : "


@pytest.mark.parametrize("kind", ["github-status", "gitlab-status", "gitea-status"])
def test_a_hostile_subject_is_a_line_of_a_status(kind: str) -> None:
    happened = event(message=HOSTILE * 20)
    body = json.loads(letter(target(kind), notice(happened, Status.SUCCESS), "t", 0).body)
    assert len(body["description"]) <= 140
    assert body["description"].isprintable()


# What is sent, and to whom.


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text(TOKEN)
    return tmp_path


def sent(home: Path, answer: Answer, **more: Any) -> tuple[Reply, list[Received]]:
    """What came of telling a server that answers this."""
    with LocalServer(lambda _: answer).running() as server:
        given = target(url=f"{server.url}/x", **more)
        return post.send(home, "t", given, notice(WELL, Status.SUCCESS)), server.received


@pytest.mark.parametrize(
    ("code", "again"),
    [
        (401, True),
        (404, True),
        (422, False),
        (429, True),
        (500, True),
        (503, True),
        (302, False),
    ],
)
def test_an_answer_says_whether_trying_again_may_help(
    home: Path, code: int, again: bool
) -> None:
    reply, _ = sent(home, Answer(code))
    assert (reply.problem, reply.again) == (f"it answered {code}", again)


def test_no_redirect_is_followed(home: Path) -> None:
    with LocalServer(lambda _: Answer(200)).running() as other:
        reply, received = sent(home, Answer(307, headers={"Location": other.url}))
    assert reply.problem == "it answered 307"
    assert len(received) == 1
    assert other.received == []


def test_a_secret_that_is_said_back_is_masked(home: Path) -> None:
    reply, received = sent(home, Answer(500, f"bad token {TOKEN}\x1b[2J".encode()))
    assert received[0].headers["Orloj-Signature"]
    assert TOKEN not in repr(reply)
    assert reply.problem == "it answered 500: bad token (secret)?[2J"


def test_of_a_long_answer_the_beginning_is_read(home: Path) -> None:
    reply, _ = sent(home, Answer(400, b"x" * 5_000_000))
    assert len(reply.said) <= 120


def test_an_answer_that_drips_is_cut_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "TIMEOUT_S", 0.3)
    reply, _ = sent(home, Answer(200, b"x" * 1_000, drip_s=0.05))
    assert (reply.problem, reply.again) == ("it cannot be reached (TimeoutError)", True)


def test_gitlab_may_know_a_status_already(home: Path) -> None:
    known = Answer(400, b'{"message":"Cannot transition status via :run from :running"}')
    reply, _ = sent(
        home, known, type="gitlab-status", repository="o/r", token_file="secret", secret_file=""
    )
    assert reply.problem is None


def test_what_is_asked_to_wait_says_how_long(home: Path) -> None:
    reply, _ = sent(home, Answer(429, headers={"Retry-After": "120"}))
    assert reply.retry_after_s == 120
    reply, _ = sent(home, Answer(429, headers={"Retry-After": "9" * 400}))
    assert reply.retry_after_s == post.RETRY_AFTER_MAX_S


def test_a_secret_that_cannot_be_read_is_said_without_a_try(home: Path) -> None:
    (home / "secret").unlink()
    reply, received = sent(home, Answer(200))
    assert reply.again
    assert "notify.t.secret_file" in (reply.problem or "")
    assert received == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x",
        "http://10.0.0.1/x",
        "http://127.0.0.1.example.com/x",
        "http://localhost.example.com/x",
        "ftp://127.0.0.1/x",
        "https://user:password@example.com/x",
        "//example.com",
        "https://exa mple.com",
    ],
)
def test_secrets_go_by_https_or_stay_on_this_machine(home: Path, url: str) -> None:
    with pytest.raises(ValueError, match=r"address|host|https"):
        where_to_tell(url)
    (home / "secret").write_text(url)
    reply = post.send(home, "t", target("slack"), notice())
    assert "notify.t.url_file" in (reply.problem or "")
    assert url not in (reply.problem or "")


@pytest.mark.parametrize(
    "table",
    [
        'type = "slack"\nurl = "https://hooks.slack.com/x"',
        'type = "webhook"\nurl = "https://example.com"',
        'type = "github-status"\nrepository = "o/r"',
        'type = "gitea-status"\nrepository = "o/r"\ntoken_file = "t"',
        'type = "github-status"\nrepository = "../r"\ntoken_file = "t"',
        'type = "github-status"\nrepository = "o/r?x"\ntoken_file = "t"',
        'type = "webhook"\nurl = "http://example.com"\nsecret_file = "t"',
        'type = "pigeon"',
    ],
)
def test_a_target_that_cannot_work_is_refused_by_the_settings(home: Path, table: str) -> None:
    (home / "orloj.toml").write_text(f"[notify.t]\n{table}\n")
    with pytest.raises(SettingsInvalid, match=r"notify\.t"):
        settings.load(home, {})
