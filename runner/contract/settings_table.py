"""What every table of the settings is: frozen, and it knows each of its keys."""

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of `orloj.toml`; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
