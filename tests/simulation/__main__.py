"""Tell the story of one seed, or play a range of them until a promise is broken.

python tests/simulation 4711
python tests/simulation 0 10000
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from play import play, tell

import runner


def main() -> int:
    """0 when every promise held, 1 otherwise."""
    seeds = [int(argument) for argument in sys.argv[1:]]
    if len(seeds) == 1:
        return tell(seeds[0])
    print(f"worlds of {runner.__path__[0]}", flush=True)
    for seed in range(*seeds):
        play(seed)
    print(f"{seeds[1] - seeds[0]} worlds, and every promise held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
