"""What a change of an agent's prompt or model is about to cost, from what it cost so far. Pure.

    tokens of the prompt    its bytes in UTF-8, four to a token, rounded up
    a run                   that, times the model calls a run took lately
    a day                   what was really used lately, at the old and at the new price

The sums are about right for prose and no more: a tokenizer would have to be fetched for each
model, and an estimate that differs from host to host is worse than one that is off by a tenth
everywhere. Nothing is made up: without a price or a run there is no sum, and it is said.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from runner.contract.kinds.model_endpoint import Price

BYTES_A_TOKEN: Final = 4
_MILLION: Final = 1_000_000
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an agent used lately: tasks, model calls, tokens, and over how many days."""

    runs: int = 0
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    days: float = 7.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What an agent asks its model: the prompt, the model's name, and its price if known."""

    prompt: str
    model: str
    price: Price | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The change in numbers; a cost is None where `missing` says why there is none."""

    tokens_before: int
    tokens_after: int
    model_before: str
    model_after: str
    usage: Usage
    cost_before: Decimal | None
    cost_after: Decimal | None
    missing: tuple[str, ...] = ()

    @property
    def tokens_a_call(self) -> int:
        """How many tokens more a model call takes; negative: fewer."""
        return self.tokens_after - self.tokens_before

    @property
    def tokens_a_run(self) -> int | None:
        """How many tokens more a run takes, by the calls of the runs so far."""
        if not self.usage.runs:
            return None
        return round(self.tokens_a_call * self.usage.calls / self.usage.runs)

    @property
    def cost_more(self) -> Decimal | None:
        """What a day costs more, in the currency of the prices."""
        if self.cost_before is None or self.cost_after is None:
            return None
        return self.cost_after - self.cost_before


def tokens(text: str) -> int:
    """About how many tokens a text is."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_A_TOKEN)


def estimate(before: Asked, after: Asked, usage: Usage) -> Estimate | None:
    """What the change means for tokens and costs; None when prompt and model are the same."""
    if (before.prompt, before.model) == (after.prompt, after.model):
        return None
    old, new = tokens(before.prompt), tokens(after.prompt)
    more = (new - old) * usage.calls
    return Estimate(
        tokens_before=old,
        tokens_after=new,
        model_before=before.model,
        model_after=after.model,
        usage=usage,
        cost_before=_cost(before.price, usage, 0),
        cost_after=_cost(after.price, usage, more),
        missing=tuple(_missing(before, after, usage)),
    )


def sentence(found: Estimate) -> str:
    """`about +310 tokens a run; +0.42 a day at 412 runs a day`."""
    parts = []
    if found.tokens_a_call:
        a_run = found.tokens_a_run
        per = "call" if a_run is None else "run"
        parts.append(
            f"about {found.tokens_a_call if a_run is None else a_run:+,} tokens a {per}"
        )
    elif found.model_before == found.model_after:
        parts.append("about as many tokens")
    if (more := found.cost_more) is not None:
        parts.append(f"{_money(more)} a day at {_rate(found.usage)}")
    return "; ".join([*parts, *found.missing]).replace(",", " ")


def _cost(price: Price | None, usage: Usage, more_in: int) -> Decimal | None:
    """What a day costs at a price, with so many input tokens more than lately."""
    if price is None or not usage.runs:
        return None
    tokens_in = max(0, usage.tokens_in + more_in)
    sum_of = tokens_in * price.input + usage.tokens_out * price.output
    return sum_of / _MILLION / Decimal(str(usage.days))


def _missing(before: Asked, after: Asked, usage: Usage) -> list[str]:
    unpriced = [asked.model for asked in (before, after) if asked.price is None]
    found = [f"no price of {model or 'its model'}" for model in dict.fromkeys(unpriced)]
    if not usage.runs:
        found.append("no run lately")
    return [f"no cost: {' and '.join(found)}"] if found else []


def _money(amount: Decimal) -> str:
    """Two digits after the point, or the first two that are not zero."""
    if amount == 0 or abs(amount) >= _CENT:
        return f"{amount:+,.2f}"
    return f"{amount:+.2g}" if abs(amount) > Decimal("0.000001") else "about nothing more"


def _rate(usage: Usage) -> str:
    a_day = usage.runs / usage.days
    return f"{a_day:,.0f} runs a day" if a_day >= 1 else f"{a_day * 7:.1f} runs a week"
