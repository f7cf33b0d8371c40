import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_cli.tiling import SMALLEST, divided, plan_tiles, sample_windows, side_that_fits

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


@given(SIDES, SIDES, st.integers(8, 100))
def test_tiles_are_even(height: int, width: int, tile: int) -> None:
    heights = [piece.core.height for piece in plan_tiles(height, width, tile, 16)]
    assert max(heights) <= -(-tile // 8) * 8 or len(heights) == 1
    assert len({h for h in heights if h != heights[-1]}) <= 1


@given(SIDES, SIDES, st.integers(32, 200), st.integers(0, 64))
def test_division_goes_on_until_tiles_are_smallest(height: int, width: int, tile: int, overlap: int) -> None:
    size = (-(-height // 8) * 8, -(-width // 8) * 8)
    count = torch.zeros(size, dtype=torch.int64)
    waiting = plan_tiles(*size, tile, overlap)
    while waiting:
        piece = waiting.pop()
        parts = divided(piece, size, overlap)
        if len(parts) == 1:
            assert parts[0].core == piece.core
            assert max(piece.core.height, piece.core.width) < 2 * SMALLEST
            count[piece.outer()] += 1
        waiting += parts if len(parts) > 1 else []
        assert all(p.padded.top % 8 == p.padded.left % 8 == 0 for p in parts)
    assert bool((count == 1).all())


@given(SIDES, SIDES, st.sampled_from([8, 16, 24]), st.sampled_from([0, 8, 16]))
def test_a_narrow_tile_is_cut_from_its_wide_one(height: int, width: int, tile: int, around: int) -> None:
    height, width = height * 8, width * 8
    for wide in plan_tiles(height, width, tile * 8, 32)[:9]:
        narrow = wide.narrow(around)
        assert narrow.core == wide.core
        rows, columns = narrow.within(wide)
        photo = torch.arange(width)[None].expand(height, width)[wide.read()]
        assert torch.equal(photo[rows, columns], torch.arange(width)[None].expand(height, width)[narrow.read()])


@given(
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.integers(0, 3000),
    st.integers(10_000, 1_000_000),
    st.integers(10_000, 1_000_000),
)
def test_what_is_planned_fits(height: int, width: int, asked: int, whole: int, most: int) -> None:
    side = side_that_fits(height, width, asked, 64, whole, most)
    if side == 0:
        assert height * width <= whole
    else:
        assert asked == 0 or side <= asked
        assert side <= SMALLEST or (side + 128) ** 2 <= most
        assert side > 0


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 1000))
def test_windows_are_spread_and_do_not_share_pixels(height: int, width: int, share: int) -> None:
    height, width = 8 * height, 8 * width
    seen = torch.zeros(height, width, dtype=torch.int64)
    for window in sample_windows(height, width, 64, 16, share * 1000):
        seen[window.outer()] += 1
        assert window.padded.top % 8 == window.padded.left % 8 == 0
        assert window.core.height * window.core.width > 0
    assert int(seen.max()) == 1
    edge_rows, edge_columns = seen.nonzero().min(0).values.tolist()
    assert edge_rows <= height // 2
    assert edge_columns <= width // 2
