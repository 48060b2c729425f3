"""The tree is that of RFC 6962, and no proof convinces of what is not so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.contract import merkle

# The eight entries, and the roots of the first 0 to 8, that the first implementations of
# RFC 6962 were tested with, and those after them since.
ENTRIES = [
    bytes.fromhex(entry)
    for entry in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaves(size: int) -> list[bytes]:
    return [merkle.leaf(number.to_bytes(4, "big")) for number in range(size)]


@pytest.mark.parametrize("size", range(9))
def test_the_roots_are_those_that_everybody_else_computes(size: int) -> None:
    assert merkle.root(map(merkle.leaf, ENTRIES[:size])).hex() == ROOTS[size]


SIZES = st.integers(1, 70)


@given(SIZES, st.data())
def test_every_entry_is_proved_and_no_other_one_is(size: int, data: st.DataObject) -> None:
    tree = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    path, head = merkle.inclusion(tree, index), merkle.root(tree)
    assert merkle.included(tree[index], index, size, path, head)
    assert not merkle.included(merkle.leaf(b"other"), index, size, path, head)
    assert not merkle.included(tree[index], index, size, [*path, head], head)
    assert not merkle.included(tree[index], size, size, path, head)
    if path:
        assert not merkle.included(tree[index], index, size, path[:-1], head)


@given(SIZES, st.data())
def test_growth_is_proved_and_a_rewrite_is_not(size: int, data: st.DataObject) -> None:
    tree = leaves(size)
    old = data.draw(st.integers(1, size))
    before, head = merkle.root(tree[:old]), merkle.root(tree)
    proof = merkle.consistency(tree, old)
    assert merkle.consistent(old, before, size, head, proof)
    assert not merkle.consistent(old, merkle.leaf(b"other"), size, head, proof)
    assert not merkle.consistent(old, before, size, merkle.leaf(b"other"), proof)
    assert not merkle.consistent(old, before, size, head, [*proof, head])
    if proof:
        assert not merkle.consistent(old, before, size, head, proof[1:])


@given(st.lists(st.integers(0, 9), max_size=8))
def test_a_tree_that_grows_in_parts_is_the_tree_of_all_of_them(parts: list[int]) -> None:
    tree = leaves(sum(parts))
    frontier, at = merkle.Frontier(), 0
    for part in parts:
        frontier = frontier.grown(tree[at : at + part])
        at += part
    assert (frontier.size, frontier.root) == (len(tree), merkle.root(tree))


@pytest.mark.parametrize("height", range(9))
def test_a_perfect_tree_is_the_tree_of_its_leaves(height: int) -> None:
    tree = leaves(1 << height)
    assert merkle.perfect(tree) == merkle.root(tree)


def test_what_cannot_be_proved_is_refused() -> None:
    tree = leaves(4)
    for prove in (
        lambda: merkle.inclusion(tree, 4),
        lambda: merkle.inclusion(tree, -1),
        lambda: merkle.consistency(tree, 0),
        lambda: merkle.consistency(tree, 5),
    ):
        with pytest.raises(IndexError):
            prove()
    assert not merkle.consistent(0, merkle.EMPTY, 4, merkle.root(tree), [])


def test_a_frontier_with_too_few_roots_is_none() -> None:
    with pytest.raises(ValueError, match="cannot be a tree of 3"):
        merkle.Frontier(3, (merkle.EMPTY,))
