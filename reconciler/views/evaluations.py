"""Runs of evaluations as words and as JSON. Pure. The JSON fields are promises."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from reconciler.evaluation import record
from reconciler.evaluation.comparison import Change, Compared, Comparison
from reconciler.evaluation.record import Result, Run, RunState, Summary
from reconciler.evaluation.scoring import FULL
from reconciler.views.table import Cell, number, pairs, paragraphs, table, word
from reconciler.views.times import iso, moment

REASON_SHOWN: Final = 100
_US: Final = 1_000_000


def progress(run: Run, found: Summary) -> str:
    """How far a run is, in one line."""
    words = f"Run {run.id}: {run.state.value}, {found.closed} of {found.of} scored"
    return f"{words}, {found.passed} passed" if found.closed else words


def run_list(found: Sequence[tuple[Run, Summary]]) -> Text:
    """The list of runs."""
    if not found:
        return Text("No runs. An EvalRun manifest makes one, or: orloj eval run EVALRUN")
    headers = ("RUN", "EVALRUN", "COMMIT", "STATE", "PASSED", "RATE", "TOKENS", "BEGUN (UTC)")
    return table(headers, (_listed(run, summed) for run, summed in found))


def _listed(run: Run, found: Summary) -> tuple[Cell, ...]:
    return (
        str(run.id),
        f"{run.key.namespace}/{run.key.name}",
        run.commit[:12],
        word(run.state.value),
        f"{found.passed} of {found.of}",
        _percent(found.rate) if found.closed else "-",
        number(found.tokens + found.judge_tokens),
        moment(run.created_at),
    )


def run_page(run: Run, results: Sequence[Result], *, wrong_only: bool = False) -> Text:
    """A run, and its answers: all, or those that did not pass."""
    found = record.summary(results)
    shown = [one for one in results if not (wrong_only and one.passed is True)]
    headers = ("SAMPLE", "#", "STATE", "PASS", "SCORE", "TOKENS", "TIME", "TASK", "WHY")
    answers = table(headers, map(_answer, shown)) if shown else None
    return paragraphs(pairs(_facts(run, found)), Text() if answers else None, answers)


def _facts(run: Run, found: Summary) -> list[tuple[str, Cell]]:
    low, high = found.interval
    facts: list[tuple[str, Cell]] = [
        ("run", f"{run.id} of {run.key.namespace}/{run.key.name}"),
        ("commit", run.commit),
        ("asks", str(run.spec.subject(run.key.namespace))),
        ("state", word(run.state.value)),
    ]
    if run.message and run.state in (RunState.BROKEN, RunState.CANCELLED):
        facts.append(("why", run.message))
    if found.closed:
        rate = f"{found.passed} of {found.of}, {_percent(found.rate)}"
        facts.append(("passed", f"{rate} (95 %: {_percent(low)} to {_percent(high)})"))
        facts.append(("threshold", _percent(run.spec.pass_threshold)))
    if found.errored:
        facts.append(("errored", f"{found.errored}: no answer or no score; counted as wrong"))
    facts.append(("tokens", f"{found.tokens:,} answering, {found.judge_tokens:,} judging"))
    if found.duration_us_median is not None:
        facts.append(("time", f"{found.duration_us_median / _US:.1f} s, the median"))
    return facts


def _answer(one: Result) -> tuple[Cell, ...]:
    reason = " ".join(one.reason.split())
    return (
        one.sample,
        str(one.repetition),
        word(one.state.value),
        {True: word("good"), False: word("bad"), None: Text("-")}[one.passed],
        "-" if one.score is None else f"{one.score / FULL:.2f}",
        number(one.tokens + one.judge_tokens),
        "-" if one.duration_us is None else f"{one.duration_us / _US:.1f} s",
        one.task or "-",
        reason if len(reason) <= REASON_SHOWN else f"{reason[:REASON_SHOWN]}...",
    )


def following(run: Run) -> str:
    """What to type next."""
    match run.state:
        case RunState.PENDING | RunState.RUNNING:
            return f"It goes on: orloj eval show {run.id}"
        case RunState.REVIEW:
            return f"Answers wait for a grade: orloj eval grade {run.id} SAMPLE --pass"
        case RunState.PASSED | RunState.FAILED:
            return f"Compare it with another run: orloj eval compare RUN {run.id}"
    return f"Run it again: orloj eval run {run.key.namespace}/{run.key.name}"


def comparison_page(before: Run, after: Run, found: Comparison) -> Text:
    """Two runs side by side: the sums, and each sample that is another than before."""
    sums = table(
        ("", f"RUN {before.id}", f"RUN {after.id}"),
        [
            ("commit", before.commit[:12], after.commit[:12]),
            ("passed", _rate(found.before), _rate(found.after)),
            ("95 %", _interval(found.before), _interval(found.after)),
            (
                "tokens, median",
                _plain(found.before.tokens_median),
                _plain(found.after.tokens_median),
            ),
            ("time, median", _length(found.before), _length(found.after)),
        ],
    )
    counts = ", ".join(f"{found.count(change)} {change.value}" for change in Change)
    said = f"{counts}; p = {found.p_value:.3g} (sign test)"
    moved = [one for one in found.samples if one.change is not Change.SAME]
    samples = table(("SAMPLE", "BEFORE", "AFTER", ""), map(_moved, moved)) if moved else None
    return paragraphs(sums, Text(), Text(said), Text() if moved else None, samples)


def _moved(one: Compared) -> tuple[Cell, ...]:
    styles = {Change.BETTER: "green", Change.WORSE: "red"}
    return (
        one.sample,
        _counted(one.before),
        _counted(one.after),
        Text(one.change.value, style=styles.get(one.change, "")),
    )


def run_json(
    run: Run, results: Sequence[Result], outputs: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """The stable fields of a run with its answers; `output` where outputs are given."""
    return listed_json(run, record.summary(results)) | {
        "results": [_result_json(one, outputs) for one in results]
    }


def listed_json(run: Run, found: Summary) -> dict[str, Any]:
    """The stable fields of a run."""
    return {
        "run": run.id,
        "namespace": run.key.namespace,
        "name": run.key.name,
        "commit": run.commit,
        "subject": str(run.spec.subject(run.key.namespace)),
        "dataset": str(run.spec.questions(run.key.namespace)),
        "actor": run.actor,
        "labels": run.spec.labels,
        "state": run.state.value,
        "message": run.message,
        "pass_threshold": run.spec.pass_threshold,
        "created_at": iso(run.created_at),
        "finished_at": iso(run.finished_at),
        "summary": _summary_json(found),
    }


def _summary_json(found: Summary) -> dict[str, Any]:
    return {
        "answers": found.of,
        "scored": found.closed,
        "passed": found.passed,
        "errored": found.errored,
        "pass_rate": found.rate,
        "interval": list(found.interval),
        "mean_score": found.score,
        "tokens": found.tokens,
        "judge_tokens": found.judge_tokens,
        "tokens_median": found.tokens_median,
        "duration_us_median": found.duration_us_median,
    }


def _result_json(one: Result, outputs: Mapping[str, str | None] | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "sample": one.sample,
        "repetition": one.repetition,
        "state": one.state.value,
        "pass": one.passed,
        "score": None if one.score is None else one.score / FULL,
        "reason": one.reason,
        "scorer": one.scorer,
        "task": one.task,
        "judge_task": one.judge_task,
        "manifest_set": one.manifest_set,
        "tokens": one.tokens,
        "judge_tokens": one.judge_tokens,
        "duration_us": one.duration_us,
    }
    if outputs is not None:
        fields["output"] = outputs.get(one.task) if one.task else None
    return fields


def comparison_json(
    before: Run, after: Run, found: Comparison, max_drop: float
) -> dict[str, Any]:
    """The stable fields of a comparison."""
    return {
        "before": listed_json(before, found.before),
        "after": listed_json(after, found.after),
        **{change.value: found.count(change) for change in Change},
        "p_value": found.p_value,
        "drop": found.drop,
        "max_drop": max_drop,
        "samples": [
            {
                "sample": one.sample,
                "change": one.change.value,
                "before": None if one.before is None else list(one.before),
                "after": None if one.after is None else list(one.after),
            }
            for one in found.samples
        ],
    }


def _rate(found: Summary) -> str:
    return f"{found.passed} of {found.of}, {_percent(found.rate)}"


def _interval(found: Summary) -> str:
    low, high = found.interval
    return f"{_percent(low)} to {_percent(high)}"


def _length(found: Summary) -> str:
    length = found.duration_us_median
    return "-" if length is None else f"{length / _US:.1f} s"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _counted(pair: tuple[int, int] | None) -> str:
    return "-" if pair is None else f"{pair[0]} of {pair[1]}"
