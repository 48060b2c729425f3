"""What it costs to mask secrets in an output, against one alternation of the same forms.

.venv/bin/python tests/benchmarks/bench_masking.py [--secrets 20] [--bytes 262144]
"""

import argparse
import json
import re
import secrets
import statistics
import time
from collections.abc import Callable

from runner.contract import masking


def median_ms(work: Callable[[], object], rounds: int = 9) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1_000)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--secrets", type=int, default=20)
    parser.add_argument("--bytes", type=int, default=262_144)
    given = parser.parse_args()
    values = [secrets.token_urlsafe(30) for _ in range(given.secrets)]
    row = {"name": "n" * 16, "text": "the quick brown fox jumps over the lazy dog " * 3}
    text = (json.dumps(row) * (given.bytes // 100))[: given.bytes]

    def made() -> object:
        masking._forms.cache_clear()
        return masking.longest(values)

    print(f"the forms, made once: {median_ms(made):.1f} ms")
    for size in (40, 2_000, given.bytes):
        part = text[:size]
        print(
            f"{size} characters: {median_ms(lambda p=part: masking.redact(p, values)):.3f} ms"
        )
    forms = masking._forms(frozenset(values))
    exact = re.compile("|".join(map(re.escape, forms.exact)))
    folded = re.compile("|".join(map(re.escape, forms.folded)), re.IGNORECASE)
    print(f"forms: {len(forms.exact) + len(forms.folded)}")
    found = median_ms(lambda: (exact.sub("", text), folded.sub("", text)), rounds=1)
    print(f"{given.bytes} characters by alternation: {found:.0f} ms")


if __name__ == "__main__":
    main()
