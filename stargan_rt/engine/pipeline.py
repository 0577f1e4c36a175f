"""A stream of images through workers, in order: the next ones are prepared while one is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future

from stargan_rt.errors import InputError, StarGANError
from stargan_rt.images import Image, Pixels
from stargan_rt.labels import Label


def paired(images: Iterable[Image], labels: Iterable[Label]) -> Iterator[tuple[Image, Label]]:
    """Each image with its label.

    Raises:
        InputError: fewer labels than images, once they have run out.
    """
    left = iter(labels)
    for number, image in enumerate(images):
        try:
            label = next(left)
        except StopIteration:
            raise InputError(f"{number} labels for more images than that; give one an image, or one for all") from None
        yield image, label


def in_order(
    pairs: Iterator[tuple[Image, Label]],
    submit: Callable[[Image, Label], Future[Pixels]],
    ahead: int,
    return_exceptions: bool = False,
) -> Iterator[Pixels | StarGANError]:
    """The results of `submit` in the order of `pairs`, of which never more than `ahead` are taken in advance.

    Args:
        pairs: may be endless; its error comes after the results of what came before.
        submit: begins the work.
        ahead: so many are under way at a time.
        return_exceptions: yield the error of an image that can't be translated in its place, and go on.
    """
    waiting: deque[Future[Pixels]] = deque()
    failure: Exception | None = None
    try:
        while True:
            while failure is None and len(waiting) < ahead:
                try:
                    image, label = next(pairs)
                except StopIteration:
                    break
                except Exception as error:  # what is on its way comes first
                    failure = error
                    break
                waiting.append(submit(image, label))
            if not waiting:
                break
            yield _result(waiting.popleft(), return_exceptions)
    finally:
        for future in waiting:  # the caller stopped early, or an image failed
            future.cancel()
    if failure is not None:
        raise failure


def _result(future: Future[Pixels], return_exceptions: bool) -> Pixels | StarGANError:
    try:
        return future.result()
    except StarGANError as error:
        if return_exceptions:
            return error
        raise
