"""A worker acts only while it is trusted, and it is trusted only by an answer to a ping."""

import asyncio
import socket

import pytest

from runner.contract import clock
from runner.contract.errors import LeaseLost
from runner.link import Link
from runner.wire import Wire

LONG_US = 60_000_000


async def pair(lease_us: int) -> tuple[Link, Wire, list[asyncio.StreamWriter]]:
    """A worker's link, and the dispatcher's end of its wire."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    other_reader, other_writer = await asyncio.open_connection(sock=theirs)
    link = Link(Wire(reader, writer), lease_us)
    return link, Wire(other_reader, other_writer), [writer, other_writer]


async def outlived(link: Link) -> None:
    while clock.boot_us() < link.trusted_us:
        await asyncio.sleep(0.001)


def test_an_answer_goes_to_whoever_asked() -> None:
    async def story() -> None:
        link, other, writers = await pair(LONG_US)
        asking = [asyncio.create_task(link.ask("tool", n=n)) for n in range(3)]
        heard = [await other.receive() for _ in asking]
        for message in reversed(heard):
            assert message is not None
            link.answered({"do": "answer", "id": message["id"], "n": message["n"]})
        assert [(await task)["n"] for task in asking] == [0, 1, 2]
        assert link._waiting == {}, "questions that were answered are kept"
        for writer in writers:
            writer.close()

    asyncio.run(story())


def test_nothing_is_asked_after_the_trust_ran_out() -> None:
    async def story() -> None:
        link, _, writers = await pair(1_000)
        await outlived(link)
        with pytest.raises(LeaseLost):
            await link.ask("tool")
        for writer in writers:
            writer.close()

    asyncio.run(story())


def test_an_answer_that_was_slept_on_is_not_acted_upon() -> None:
    async def story() -> None:
        link, _, writers = await pair(50_000)
        asking = asyncio.create_task(link.ask("tool"))
        await asyncio.sleep(0)
        await outlived(link)
        link.answered({"do": "answer", "id": 1, "ok": True, "decision": "allow"})
        with pytest.raises(LeaseLost):
            await asking
        for writer in writers:
            writer.close()

    asyncio.run(story())


def test_a_question_given_up_leaves_nothing_behind_and_its_answer_is_ignored() -> None:
    async def story() -> None:
        link, _, writers = await pair(LONG_US)
        asking = asyncio.create_task(link.ask("tool"))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        link.answered({"do": "answer", "id": 1, "ok": True})
        assert link._waiting == {}
        for writer in writers:
            writer.close()

    asyncio.run(story())


def test_trust_is_counted_from_when_the_ping_was_sent() -> None:
    async def story() -> None:
        link, other, writers = await pair(LONG_US)
        link.ping()
        ping = await other.receive()
        assert ping is not None
        link.answered({"do": "pong", "at": ping["at"]})
        assert link.trusted_us == ping["at"] + LONG_US - LONG_US // 5
        for writer in writers:
            writer.close()

    asyncio.run(story())
