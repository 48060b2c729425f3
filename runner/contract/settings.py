"""Every setting and every environment variable, read once into one frozen object.

A setting comes from `ORLOJ_<TABLE>_<KEY>` in the environment, else from `orloj.toml` in
the home folder, else from the default below. The home is `--home`, else `ORLOJ_HOME`, else
the user's state folder. Reading an environment variable anywhere else fails the build.
"""

import difflib
import os
import pwd
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from runner.contract import errors
from runner.contract.audit_settings import Audit
from runner.contract.settings_table import Table
from runner.contract.source_settings import SOURCE_NAME, Source
from runner.contract.web_settings import Notify, Receiver, Web

FILE_NAME: Final = "orloj.toml"
DEFAULT_SOURCE: Final = "default"
_SYSTEM_HOME: Final = Path("/var/lib/orloj")
_Name = Annotated[str, Field(pattern=SOURCE_NAME)]


class Database(Table):
    """Where the state is kept."""

    url: SecretStr = SecretStr("")
    """`postgresql://user@host/name`. Empty: SQLite in the home. May hold a password."""


class Runner(Table):
    """The pool of workers on this host."""

    workers: int = Field(default=0, ge=0, le=256)
    """Worker processes. 0: one for each core, since slots wait and processes compute."""
    slots: int = Field(default=16, ge=1, le=1024)
    """Tasks that one worker runs at once. They mostly wait on models, so many fit."""
    lease_s: float = Field(default=30.0, ge=0.5, le=3_600.0)
    """Seconds a silent worker keeps its tasks. Renewed every third of it."""
    drain_s: float = Field(default=30.0, ge=0.0, le=3_600.0)
    """Seconds a stop waits for running tasks before it gives their leases back."""
    crashes_max: int = Field(default=3, ge=1, le=100)
    """Workers that one task may take down before it goes to the dead letters."""
    memory_mb: int = Field(default=0, ge=0, le=1_048_576)
    """Mebibytes over which a worker takes nothing new and is replaced. 0: no limit."""
    name: str = ""
    """The Worker manifest that tells of this host. Empty: that of the host's own name."""
    region: str = ""
    """Where this host is, for tasks that require a region. Empty: those wait for others."""
    gpu: bool = False
    """Whether this host has a GPU, for tasks that require one."""
    models: list[str] = []
    """Models that tasks which require one may find here. Empty: any."""
    observe: Literal["nothing", "local", "network"] = "local"
    """What of the world is looked at: programs and secrets, or addresses as well."""
    observe_interval_s: float = Field(default=300.0, ge=1.0, le=86_400.0)
    """Seconds between two looks at the world."""


class Tools(Table):
    """What tools may touch on this host. What is not named here is denied."""

    files: str = "files"
    """Folder that file tools work in; relative to the home. They cannot leave it."""
    commands: list[str] = []
    """Absolute paths of programs that command tools may start. Empty: none."""
    container: str = ""
    """What runs containers: podman, docker or an absolute path. Empty: nothing does."""
    images: list[str] = []
    """Images that may be run, whole or up to a `*` at the end. Empty: none."""
    modules: str = "modules"
    """Folder of WebAssembly modules; relative to the home. Tools do not see it."""
    output_bytes_max: int = Field(default=262_144, ge=1_024, le=1_048_576)
    """Bytes of a tool's answer that are kept. A model's context is smaller than this."""

    @field_validator("commands")
    @classmethod
    def _absolute(cls, commands: list[str]) -> list[str]:
        # Any other would be looked for in the folder that tools write to.
        if not all(command.startswith("/") for command in commands):
            raise ValueError("every program needs its absolute path")
        return commands

    @field_validator("container")
    @classmethod
    def _runtime(cls, container: str) -> str:
        if container not in ("", "podman", "docker") and not container.startswith("/"):
            raise ValueError("write podman, docker or an absolute path")
        return container


class Memory(Table):
    """What agents may keep on this host."""

    folder: str = "memory"
    """Folder of the memory files; relative to the home."""
    entries_max: int = Field(default=10_000, ge=1, le=1_000_000)
    """Entries that one memory may hold. A search looks at each of them."""
    value_bytes_max: int = Field(default=65_536, ge=256, le=1_048_576)
    """Bytes that one value may have."""


class Secrets(Table):
    """Where Secrets may come from on this host."""

    env: list[str] = ["OPENAI_API_KEY"]
    """Environment variables of the runner that a Secret's `fromEnv` may name."""
    folder: str = ""
    """Folder that `fromFile` reads. Empty: `CREDENTIALS_DIRECTORY`, which systemd sets."""


_Listeners = TypeVar("_Listeners", dict[str, Receiver], dict[str, Notify])


class Settings(Table):
    """Everything that can be set."""

    home: Path
    database: Database = Database()
    source: Source = Source()
    sources: dict[_Name, Source] = {}
    runner: Runner = Runner()
    tools: Tools = Tools()
    memory: Memory = Memory()
    secrets: Secrets = Secrets()
    web: Web = Web()
    audit: Audit = Audit()
    receivers: dict[_Name, Receiver] = {}
    notify: dict[_Name, Notify] = {}

    @field_validator("sources")
    @classmethod
    def _named(cls, sources: dict[str, Source]) -> dict[str, Source]:
        if DEFAULT_SOURCE in sources:
            raise ValueError(f"the repository {DEFAULT_SOURCE} stands under [source]")
        return sources

    @field_validator("receivers", "notify")
    @classmethod
    def _of_known_sources(cls, named: _Listeners, info: ValidationInfo) -> _Listeners:
        known = {DEFAULT_SOURCE, *info.data.get("sources", {})}
        for name, table in named.items():
            if unknown := set(table.sources) - known:
                raise ValueError(f"{name}: there is no repository {', '.join(sorted(unknown))}")
        return named

    @property
    def followed(self) -> dict[str, Source]:
        """Every repository to follow, by name; the one under `[source]` is `default`."""
        first = {DEFAULT_SOURCE: self.source} if self.source.url else {}
        return first | {name: source for name, source in self.sources.items() if source.url}

    @property
    def files(self) -> Path:
        """The folder that file tools work in."""
        return self.home / self.tools.files

    @property
    def modules(self) -> Path:
        """The folder of WebAssembly modules."""
        return self.home / self.tools.modules

    @property
    def memories(self) -> Path:
        """The folder that memories are kept in."""
        return self.home / self.memory.folder

    @property
    def run(self) -> Path:
        """The folder for sockets and lock files."""
        return self.home / "run"

    @property
    def workers(self) -> int:
        """How many worker processes to keep."""
        return self.runner.workers or len(os.sched_getaffinity(0))


def load(home: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of a home; SettingsInvalid says which one is wrong and how."""
    environment = os.environ if environment is None else environment  # noqa: TID251
    home = (home or default_home(environment)).expanduser().absolute()
    values = _file(home / FILE_NAME)
    for table, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Table):
            for key in field.annotation.model_fields:
                name = f"ORLOJ_{table}_{key}".upper()
                given = values.setdefault(table, {}) if name in environment else None
                if isinstance(given, dict):  # Else the check below says what is wrong.
                    given[key] = _listed(field.annotation, key, environment[name])
    try:
        return Settings.model_validate({**values, "home": home})
    except ValidationError as error:
        found = "; ".join(_in_words(problem) for problem in error.errors(include_url=False))
        raise errors.SettingsInvalid(
            f"{home / FILE_NAME} or an ORLOJ_ variable is wrong: {found}"
        ) from error


def _in_words(problem: ErrorDetails) -> str:
    """One wrong setting in a person's words; its value is not repeated, it may be a secret."""
    *tables, key = (str(part) for part in problem["loc"])
    name = ".".join((*tables, key))
    if problem["type"] == "value_error":  # One of ours, which says what to do.
        return f"{name}: {problem['ctx']['error']}"
    if problem["type"] != "extra_forbidden":
        return f"{name}: {problem['msg'].lower()}"
    table = _table_at(tables)
    near = difflib.get_close_matches(key, table.model_fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(table.model_fields)}"
    return f"there is no setting {name}; {hint}"


def _table_at(path: list[str]) -> type[BaseModel]:
    """The table that a path of keys, names and positions leads to."""
    table: Any = Settings
    for part in path:
        if isinstance(table, type) and issubclass(table, BaseModel):
            table = table.model_fields[part].annotation
        else:  # `dict[str, Source]` or `list[Freeze]`: what stands in it.
            table = get_args(table)[-1]
    assert isinstance(table, type)
    assert issubclass(table, BaseModel)
    return table


def default_home(environment: Mapping[str, str]) -> Path:
    """Where the state is kept when nobody says: `ORLOJ_HOME`, or the user's state folder."""
    if home := environment.get("ORLOJ_HOME"):
        return Path(home)
    if os.geteuid() == 0 and _SYSTEM_HOME.is_dir():
        return _SYSTEM_HOME
    state = (
        environment.get("XDG_STATE_HOME") or Path(environment.get("HOME", "/")) / ".local/state"
    )
    return Path(state) / "orloj"


def process_environment(*more: str) -> dict[str, str]:
    """What a child of ours needs to start, and `more`; no secret is handed down."""
    kept = ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", *more)
    return {name: os.environ[name] for name in kept if name in os.environ}  # noqa: TID251


def variable(name: str) -> str | None:
    """An environment variable that the settings allow a Secret to name."""
    return os.environ.get(name)  # noqa: TID251


def given(*names: str) -> dict[str, str]:
    """Those of these variables that are set: what git and a web server tell a hook."""
    return {name: os.environ[name] for name in names if name in os.environ}  # noqa: TID251


def person() -> str:
    """The login name of whoever runs this command."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _listed(table: type[Table], key: str, value: str) -> Any:
    wants_list = table.model_fields[key].annotation == list[str]
    return [part for part in value.split(":") if part] if wants_list else value


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise errors.SettingsInvalid(f"{path} cannot be read: {error}") from error
