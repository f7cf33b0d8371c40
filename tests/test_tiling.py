import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssr_cli.tiling import plan_tiles, with_halving

SIDES = st.integers(1, 300)


@given(SIDES, SIDES, st.integers(0, 200), st.integers(0, 80))
def test_cores_partition_and_padding_is_inside(height: int, width: int, tile: int, overlap: int) -> None:
    count = torch.zeros(height, width, dtype=torch.int64)
    for piece in plan_tiles(height, width, tile, overlap):
        count[piece.outer()] += 1
        box = piece.padded
        assert 0 <= box.top <= piece.core.top < piece.core.bottom <= box.bottom <= height
        assert 0 <= box.left <= piece.core.left < piece.core.right <= box.right <= width
        assert box.top % 8 == 0
        assert box.left % 8 == 0
        assert box.top == 0 or piece.core.top - box.top >= overlap
        assert box.bottom == height or box.bottom - piece.core.bottom >= overlap
    assert bool((count == 1).all())


@given(SIDES, SIDES, st.integers(8, 100), st.integers(0, 40))
def test_cut_and_paste_gives_the_photo_back(height: int, width: int, tile: int, overlap: int) -> None:
    photo = torch.arange(height * width).reshape(height, width)
    out = torch.zeros(2 * height, 2 * width, dtype=torch.int64)
    for piece in plan_tiles(height, width, tile, overlap):
        enlarged = photo[piece.read()].repeat_interleave(2, 0).repeat_interleave(2, 1)
        out[piece.outer(2)] = enlarged[piece.inner(2)]
    assert torch.equal(out[::2, ::2], photo)


def test_halving_until_it_fits() -> None:
    tried: list[int] = []

    def attempt(tile: int) -> int:
        tried.append(tile)
        if tile == 0 or tile > 100:
            raise MemoryError
        return tile

    assert with_halving(0, 900, attempt, lambda e: isinstance(e, MemoryError)) == 56
    assert tried == [0, 450, 225, 112, 56]


def test_halving_ends_and_other_errors_pass() -> None:
    def never(tile: int) -> int:
        raise MemoryError

    with pytest.raises(MemoryError):
        with_halving(512, 900, never, lambda e: isinstance(e, MemoryError))

    def broken(tile: int) -> int:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        with_halving(512, 900, broken, lambda e: isinstance(e, MemoryError))
