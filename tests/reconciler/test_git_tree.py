"""What git prints is read the same however it is cut, and nothing over a limit is kept."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.git.tree import BlobReader

BLOBS = st.lists(st.binary(max_size=40), max_size=6)


def printed(blobs: list[bytes]) -> bytes:
    return b"".join(
        b"%040x blob %d\n%s\n" % (number, len(blob), blob) for number, blob in enumerate(blobs)
    )


def taken(
    output: bytes, cut: int, blob_max: int = 1_000, total_max: int = 10_000
) -> BlobReader:
    reader = BlobReader(blob_max, total_max)
    for at in range(0, len(output), cut):
        reader.write(output[at : at + cut])
    return reader


@given(blobs=BLOBS, cut=st.integers(min_value=1, max_value=64))
def test_every_cut_gives_the_same_blobs(blobs: list[bytes], cut: int) -> None:
    reader = taken(printed(blobs), cut)
    assert list(reader.found.values()) == blobs
    assert not reader.overflown


@given(blobs=BLOBS, cut=st.integers(min_value=1, max_value=64))
def test_a_blob_over_the_limit_is_named_and_not_kept(blobs: list[bytes], cut: int) -> None:
    reader = taken(printed(blobs), cut, blob_max=10)
    expected = [blob if len(blob) <= 10 else None for blob in blobs]
    assert list(reader.found.values()) == expected


@given(blobs=BLOBS, cut=st.integers(min_value=1, max_value=64))
def test_more_than_the_total_is_let_go_and_said(blobs: list[bytes], cut: int) -> None:
    reader = taken(printed(blobs), cut, total_max=50)
    kept = sum(len(blob) for blob in reader.found.values() if blob is not None)
    assert kept <= 50
    assert reader.overflown == (sum(map(len, blobs)) > 50)


def test_what_is_missing_or_no_blob_is_not_found() -> None:
    output = b"%040x missing\n%040x tree 3\nabc\n%040x blob 2\nhi\n" % (1, 2, 3)
    assert taken(output, 5).found == {f"{3:040x}": b"hi"}
