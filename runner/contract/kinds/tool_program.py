"""What a Tool says of the program behind it: the blocks `cli` and `wasm`.

    cli     a program, by one argument for each template: `{{ .name }}`, `{{ .order.id }}`
    wasm    a WebAssembly module, and what it may use up

Of Go's templates only these two forms are read. All else is refused while loading, since a
template that computes would put words together that nobody sees in the manifest.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AliasChoices, Field, field_validator, model_validator

from runner.contract.kinds.base import Key, SecretAuth, Strict
from runner.contract.kinds.variable_name import VariableName

FUEL: Final = 1_000_000_000
"""Instructions that a module may run where nothing is said: about a second's worth."""
MODULE_BYTES_MAX: Final = 2**26
_OPENED: Final = re.compile(r"\{\{")
_TEMPLATE: Final = re.compile(r"\{\{\s*((?:\.[A-Za-z_]\w*)+)\s*\}\}")

Path = tuple[str, ...]


def templates(text: str) -> list[Path]:
    """The arguments that an entry of `args` names, each as a path; ValueError."""
    for opened in _OPENED.finditer(text):
        start = opened.start()
        if not _TEMPLATE.match(text, start):
            raise ValueError(
                f"`{text[start : start + 40]}` is not read here: an argument is {{{{ .name }}}}"
                " or {{ .name.part }}; make an optional argument an entry of its own, which is"
                " left out where it is empty"
            )
    return [_path(names) for names in _TEMPLATE.findall(text)]


def filled(text: str, value: Callable[[Path], str]) -> str:
    """The entry with every template replaced by the value of its path."""
    return _TEMPLATE.sub(lambda match: value(_path(match[1])), text)


def leading(text: str) -> str:
    """What stands before the first template of an entry."""
    found = _TEMPLATE.search(text)
    return text if found is None else text[: found.start()]


def _path(names: str) -> Path:
    return tuple(names[1:].split("."))


def _template(text: str) -> str:
    templates(text)
    return _plain(text)


def _plain(text: str) -> str:
    if "\x00" in text:
        raise ValueError("no word of a command holds a zero byte")
    return text


Template = Annotated[str, AfterValidator(_template)]
Word = Annotated[str, AfterValidator(_plain), Field(min_length=1, max_length=4_096)]


class CliVariable(Strict):
    """A variable of the program's environment that a Secret holds."""

    name: VariableName
    secret_ref: str = Field(
        validation_alias=AliasChoices("secretRef", "secret_ref"),
        serialization_alias="secretRef",
        min_length=1,
    )
    key: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_entry(self) -> "CliVariable":
        if self.key is not None and ":" in self.secret_ref:
            raise ValueError("`key` and the part of secretRef after `:` say the same; take one")
        return self

    @property
    def auth(self) -> SecretAuth:
        """The Secret and the entry that its value is taken from."""
        entry = "" if self.key is None else f":{self.key}"
        return SecretAuth(secret_ref=self.secret_ref + entry)


class Cli(Strict):
    """A program and its words. No shell reads them; its environment is what stands here."""

    command: Word
    args: list[Template] = []
    image: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}$")
    network: str | None = None
    stdin_from_input: bool = False
    output: Literal["stdout", "stderr", "both"] = "stdout"
    working_dir: Word | None = None
    env: dict[VariableName, Annotated[str, AfterValidator(_plain)]] = {}
    env_from: list[CliVariable] = []

    @field_validator("command")
    @classmethod
    def _no_template(cls, command: str) -> str:
        if "{{" in command:
            raise ValueError("which program is started is not for an argument to say")
        return command

    @field_validator("network")
    @classmethod
    def _known(cls, network: str | None) -> str | None:
        if network not in (None, "none", "bridge", "host"):
            raise ValueError(
                f"the network {network} is known to one host at most: write none, or bridge or"
                " host for the whole network"
            )
        return network

    @model_validator(mode="after")
    def _each_once(self) -> "Cli":
        names = [*self.env, *(variable.name for variable in self.env_from)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the environment names {', '.join(twice)} twice")
        return self

    @property
    def networked(self) -> bool:
        """Whether the program is to have a network: the whole one."""
        return self.network in ("bridge", "host")

    def secrets(self, namespace: str) -> list[tuple[Key, str]]:
        """Every Secret entry that it is given."""
        return [variable.auth.secret(namespace) for variable in self.env_from]


class Wasm(Strict):
    """A module of WASI preview 1, by its file in the host's folder of modules.

    Without `module` it is the file `NAME.wasm`. `fuel` counts instructions, about one each;
    0 means as much as where nothing is said. `entrypoint` falls back to `_start`, which is
    what compilers of programs export.
    """

    module: Word | None = None
    sha256: str | None = Field(default=None, pattern=r"^(sha256:)?[0-9a-f]{64}$")
    entrypoint: str = Field(default="run", min_length=1, max_length=128)
    max_memory_bytes: int = Field(default=2**26, ge=2**16, le=2**30)
    fuel: int = Field(default=0, ge=0, le=10**15)
    enable_wasi: bool = True

    @field_validator("module")
    @classmethod
    def _file(cls, module: str | None) -> str | None:
        if module is None:
            return None
        if "://" in module:
            raise ValueError(
                "modules are not fetched: put the file into the host's folder tools.modules,"
                " and name it here with its sha256"
            )
        if ".." in module.split("/"):
            raise ValueError("a module lies in the folder tools.modules: take `..` out")
        return module

    @field_validator("enable_wasi", mode="before")
    @classmethod
    def _speaks(cls, enabled: Any) -> Any:
        if enabled is False:
            raise ValueError(
                "without WASI a module can neither read the call nor answer; take it out"
            )
        return enabled

    @property
    def digest(self) -> str | None:
        """The digest that the file must have, in hexadecimal digits."""
        return None if self.sha256 is None else self.sha256.removeprefix("sha256:")
