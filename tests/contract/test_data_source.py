"""A DataSource says where data is and what of it may be touched, and nothing it cannot keep."""

from typing import Any

import pytest
from pydantic import ValidationError

from runner.contract.kinds import DataSource, Key

URL = "postgresql://reader@db.example.com:5432/analytics"


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "sqlite", "path": "analytics.db"},
        {"type": "sqlite", "path": "a/b/c d%.db", "tables": ["a", "b"], "writable": ["b"]},
        {"type": "files", "path": "reports/2026"},
        {"type": "files", "path": "."},
        {"type": "postgresql", "url": URL},
        {"type": "postgresql", "url": "postgres://reader@[::1]/a?sslmode=verify-full"},
        {"type": "postgresql", "url": URL, "role": "narrow", "auth": {"secretRef": "db"}},
        {"type": "postgresql", "url": URL, "functions": ["public.similarity"], "maxRows": 5},
    ],
    ids=str,
)
def test_a_whole_source_is_accepted(spec: dict[str, Any]) -> None:
    DataSource.model_validate(spec)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"type": "sqlite"}, "needs path"),
        ({"type": "files"}, "needs path"),
        ({"type": "postgresql"}, "needs url"),
        ({"type": "sqlite", "path": ""}, "empty step"),
        ({"type": "sqlite", "path": "."}, "not a folder"),
        ({"type": "sqlite", "path": "/var/lib/a.db"}, "leaves the files folder"),
        ({"type": "sqlite", "path": "../a.db"}, "leaves the files folder"),
        ({"type": "files", "path": "a/../../b"}, "leaves the files folder"),
        ({"type": "files", "path": "a//b"}, "empty step"),
        ({"type": "files", "path": "a/./b"}, "empty step"),
        ({"type": "files", "path": "a\x00b"}, "control character"),
        ({"type": "files", "path": "/".join("a" * 17)}, "more than 16 folders"),
        ({"type": "files", "path": "a", "tables": ["t"]}, "takes no tables"),
        ({"type": "files", "path": "a", "auth": {"secretRef": "x"}}, "takes no auth"),
        ({"type": "sqlite", "path": "a", "role": "x"}, "takes no role"),
        ({"type": "sqlite", "path": "a", "functions": ["public.f"]}, "takes no functions"),
        ({"type": "sqlite", "path": "a", "url": URL}, "takes no url"),
        ({"type": "postgresql", "url": URL, "path": "a"}, "takes no path"),
        ({"type": "postgresql", "url": "mysql://u@h/d"}, "looks like postgresql://"),
        ({"type": "postgresql", "url": "postgresql://h/d"}, "looks like postgresql://"),
        ({"type": "postgresql", "url": "postgresql://u@h"}, "looks like postgresql://"),
        ({"type": "postgresql", "url": "host=h user=u"}, "looks like postgresql://"),
        ({"type": "postgresql", "url": "postgresql://u:hunter2@h/d"}, "holds no password"),
        ({"type": "postgresql", "url": "postgresql://u:hun/ter2@h/d"}, "holds no password"),
        ({"type": "postgresql", "url": URL + "?password=hunter2"}, "holds no password"),
        ({"type": "postgresql", "url": URL + "?options=-crole"}, "no option options"),
        ({"type": "postgresql", "url": URL + "?service=x"}, "no option service"),
        ({"type": "postgresql", "url": URL + "?%70assword=hunter2"}, "no option %70assword"),
        ({"type": "postgresql", "url": URL, "role": "none"}, "no role of its own"),
        ({"type": "postgresql", "url": URL, "role": "pg_monitor"}, "no role of its own"),
        ({"type": "postgresql", "url": URL, "functions": ["f"]}, "schema.name"),
        ({"type": "postgresql", "url": URL, "functions": ["pg_catalog.f"]}, "schema.name"),
        ({"type": "sqlite", "path": "a", "tables": ["*"]}, "name each table"),
        ({"type": "sqlite", "path": "a", "tables": [""]}, "1 to 128 characters"),
        ({"type": "sqlite", "path": "a", "tables": ["t"], "writable": ["u"]}, "names u"),
        ({"type": "sqlite", "path": "a", "maxRows": 0}, "greater than or equal to 1"),
    ],
    ids=str,
)
def test_what_would_not_hold_is_refused(spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as failed:
        DataSource.model_validate(spec)
    messages = " ".join(problem["msg"] for problem in failed.value.errors())
    assert reason in messages
    assert "hunter2" not in messages


def test_it_names_the_secret_of_its_password() -> None:
    spec = DataSource.model_validate(
        {"type": "postgresql", "url": URL, "auth": {"secretRef": "shared/db:password"}}
    )
    (reference,) = spec.references("default")
    assert reference.target == Key("shared", "Secret", "db")
