"""`orloj eval grade`: a person says of an answer whether it is right."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.evaluation import grading
from reconciler.evaluation.grading import Grade
from reconciler.evaluation.record import RunState
from reconciler.evaluation.scoring import FULL
from reconciler.resource import person_owner
from runner.contract import clock, errors, settings


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("sample", metavar="SAMPLE")
@click.option("--pass/--fail", "passed", default=None, help="Whether the answer is right.")
@click.option("--score", type=click.FloatRange(0, 1), help="From 0 to 1. Default: 1 or 0.")
@click.option("--reason", default="", help="Why; it is kept.")
@click.option("--repetition", type=int, help="Only this one of its answers.")
@json_option
@click.pass_obj
def command(
    context: Context,
    run: str,
    sample: str,
    *,
    passed: bool | None,
    score: float | None,
    reason: str,
    repetition: int | None,
    as_json: bool,
) -> None:
    """Say of an answer that waits for it whether it is right."""
    if passed is None:
        raise errors.Refused("say --pass or --fail")
    given = Grade(
        sample=sample,
        passed=passed,
        score=None if score is None else round(score * FULL),
        reason=reason,
        repetition=repetition,
    )
    person = person_owner(settings.person())
    with context.database.write() as connection:
        number, count, state = grading.grade(connection, run, given, person, clock.now_us())
    if as_json:
        context.show_json({"run": number, "graded": count, "state": state.value})
        return
    click.echo(f"Graded {count} of run {number}, which is {state.value} now.")
    waits = state in (RunState.RUNNING, RunState.REVIEW)
    context.say(f"{'See what waits' if waits else 'See it whole'}: orloj eval show {number}")
