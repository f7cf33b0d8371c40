"""What a person sees of a download."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssr_cli.console import Console, Tell
    from ssr_cli.places import Progress


@contextmanager
def downloading(title: str, console: Console) -> Iterator[Progress]:
    """Bytes on a bar that comes with the first of them: one that is there already would tear the Hub's client's own.

    Args:
        title: what is downloaded.
        console: shows the bar.

    Yields:
        A function to call with (file name, bytes so far, bytes in all or 0).
    """
    with ExitStack() as stack:
        begun: list[Tell] = []

        def tell(name: str, done: int, total: int) -> None:
            if not begun:
                begun.append(stack.enter_context(console.progress(title)))
            begun[0](f"{name} {done / 1e6:.0f} of {total / 1e6:.0f} MB", done, max(total, done, 1))

        yield tell
