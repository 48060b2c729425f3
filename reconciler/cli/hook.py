"""`orloj hook`: the plan at `git push`, in a bare repository on this machine.

Exit codes: 0 done, or the hook is there and sound; 1 error, or `status` found another state.
`status --json` prints `{repository, source, hook, chained, push_options, source_matches}`.
"""

import sys
import tempfile
from pathlib import Path

import click

from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import source_option
from reconciler.cli.pre_receive import pre_receive
from reconciler.git import address as git_address
from reconciler.push import followed, receive
from reconciler.push.installation import Hook, HookFolder, Presence
from reconciler.repository import source_unset
from reconciler.views.plain import plain
from runner.contract import errors, settings

_repository = click.argument(
    "repository",
    metavar="BARE_REPO",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
_pusher_option = click.option(
    "--pusher-from",
    "pusher_from",
    metavar="VARIABLE",
    default="",
    help="Variable in which a Git host names who pushes: GL_USERNAME, GITEA_PUSHER_NAME.",
)


@click.group()
def command() -> None:
    """Show the plan at git push, and refuse what cannot be applied."""


command.add_command(pre_receive)


@command.command()
@_repository
@source_option
@_pusher_option
@click.option("--chain", is_flag=True, help="Run the hook that is there before Orloj's.")
@click.pass_obj
def install(
    context: Context, repository: Path, source: str, pusher_from: str, chain: bool
) -> int:
    """Make git push to BARE_REPO show the plan before the ref moves."""
    hook = _hook(context, source, pusher_from)
    hooks = _hooks(context, repository, source)
    _same_settings(context)
    url = context.settings.followed[source].url
    named = followed.names(url, hooks.repository)
    if named is False:
        raise errors.Refused(
            f"{source} follows {git_address.plain(url)}, and not {hooks.repository}: set its"
            " url to that folder, or name the repository that it follows"
        )
    _ = context.database  # A push never makes a home, so that it must be there.
    was = hooks.presence(hook)
    hooks.install(hook, chain=chain)
    if named is None:
        context.say(
            f"Warning: {source} follows {git_address.plain(url)}; whether that is"
            f" {hooks.repository} cannot be told from here."
        )
    _warn_of_owners(context, hooks.repository)
    done = "was there already" if was is Presence.OURS else "is there now"
    ref = followed.followed(context.settings.followed[source]) or "the tags it follows"
    click.echo(plain(f"The hook {done}: {hooks.file}"))
    if hooks.chained:
        click.echo("It runs the hook that was there before first.")
    click.echo(plain(f"A push to {ref} shows its plan from now on, and is refused if broken."))
    click.echo("Next, from a clone: git push -o plan-only")
    return 0


@command.command()
@_repository
def uninstall(repository: Path) -> int:
    """Take Orloj's hook out of BARE_REPO, and put back the one that was there before."""
    # No settings are asked: a hook that refuses every push may do so because they are broken.
    with tempfile.TemporaryDirectory(prefix="orloj-hook-") as folder:
        hooks = HookFolder(repository, Path(folder))
        gone = hooks.uninstall()
    if gone:
        click.echo(plain(f"The hook is gone from {hooks.repository}."))
        click.echo("A push is not looked at any more before the ref moves.")
    else:
        click.echo(plain(f"There is no hook of Orloj in {hooks.repository}."))
    return 0


@command.command()
@_repository
@source_option
@_pusher_option
@json_option
@click.pass_obj
def status(
    context: Context, repository: Path, source: str, pusher_from: str, as_json: bool
) -> int:
    """Say whether BARE_REPO has the hook, and whether it is the right one."""
    hook = _hook(context, source, pusher_from)
    hooks = _hooks(context, repository, source)
    presence = hooks.presence(hook)
    named = followed.names(context.settings.followed[source].url, hooks.repository)
    if as_json:
        context.show_json(
            {
                "repository": str(hooks.repository),
                "source": source,
                "hook": presence.value,
                "chained": hooks.chained,
                "push_options": hooks.push_options,
                "source_matches": named,
            }
        )
    else:
        click.echo(plain(f"hook          {presence.value}: {hooks.file}"))
        click.echo(f"push options  {'on' if hooks.push_options else 'off'}")
        matches = {True: "yes", False: "no", None: "cannot be told from here"}[named]
        click.echo(f"followed      {matches}: {source}")
        if presence is not Presence.OURS:
            click.echo(plain(f"Next: orloj hook install {repository} --source {source}"))
    return 0 if presence is Presence.OURS and named is not False else 1


@command.command()
@source_option
@_pusher_option
@click.pass_obj
def show(context: Context, source: str, pusher_from: str) -> int:
    """Print the script, for a Git host that keeps hooks in a place of its own."""
    click.echo(_hook(context, source, pusher_from).script(), nl=False)
    return 0


def _hook(context: Context, source: str, pusher_from: str) -> Hook:
    """The hook for a source; SettingsInvalid if it is not followed."""
    if source not in context.settings.followed:
        raise errors.SettingsInvalid(source_unset(context.settings, source))
    if pusher_from and not (pusher_from.isidentifier() and pusher_from.isascii()):
        raise click.UsageError(f"{pusher_from!r} is not the name of a variable")
    return Hook(
        python=sys.executable,
        home=context.settings.home,
        source=source,
        pusher_from=pusher_from,
    )


def _hooks(context: Context, repository: Path, source: str) -> HookFolder:
    return HookFolder(repository, receive.folder(context.settings, source))


def _same_settings(context: Context) -> None:
    """Refuse settings that a push would not see: the environment there is another one."""
    here, there = context.settings, settings.load(context.settings.home, {})
    if (here.database, here.followed) != (there.database, there.followed):
        raise errors.SettingsInvalid(
            "an ORLOJ_ variable says where the database or the repository is, or how it is"
            " followed, and a push does not see it: put it into"
            f" {here.home}/{settings.FILE_NAME}"
        )


def _warn_of_owners(context: Context, repository: Path) -> None:
    """Say it when those who write the repository cannot use the home."""
    theirs, ours = repository.stat(), context.settings.home.stat()
    if theirs.st_uid != ours.st_uid:
        context.say(
            f"Warning: {repository.owner()} owns the repository and"
            f" {context.settings.home.owner()} the home: a push must run as the owner of the"
            " home, or it is refused."
        )
