"""Play a world and say its seed when it breaks a promise."""

import traceback

from stage import stage
from world import World


def play(seed: int) -> World:
    """The world of a seed, played to its end; AssertionError with its seed and last events."""
    world = World(stage(), seed)
    try:
        world.play()
    except Exception as broken:
        last = "\n".join(list(world.told())[-20:])
        raise AssertionError(
            f"seed {seed} breaks a promise: {broken}\n{last}\n"
            f"The whole story: python tests/simulation {seed}"
        ) from broken
    return world


def tell(seed: int) -> int:
    """Print the story of a seed; 1 when it breaks a promise, and how, else 0."""
    world = World(stage(), seed)
    code = 0
    try:
        world.play()
    except Exception:  # noqa: BLE001 - whatever stops a world belongs to its story.
        code = 1
        broken = traceback.format_exc()
    print("\n".join(world.told()))
    print(broken if code else f"seed {seed}: every promise held")
    return code
