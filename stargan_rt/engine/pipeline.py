"""Runs a stream of images through worker threads and returns the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future

from stargan_rt.errors import InputError, StarGANError
from stargan_rt.images import Image, Pixels
from stargan_rt.labels import Label


def paired(images: Iterable[Image], labels: Iterable[Label]) -> Iterator[tuple[Image, Label]]:
    """Yield each image with its label.

    Raises:
        InputError: The labels run out before the images.
    """
    left = iter(labels)
    for number, image in enumerate(images):
        try:
            label = next(left)
        except StopIteration:
            raise InputError(
                f"more images than the {number} labels; give one label per image, or one for all"
            ) from None
        yield image, label


def in_order(
    pairs: Iterator[tuple[Image, Label]],
    submit: Callable[[Image, Label], Future[Pixels]],
    ahead: int,
    return_exceptions: bool = False,
) -> Iterator[Pixels | StarGANError]:
    """Yield the results of `submit` in the order of `pairs`, reading at most `ahead` pairs in advance.

    Args:
        pairs: Images and labels; may be endless. If it raises, the results of all earlier pairs are yielded first.
        submit: Starts the translation of one pair.
        ahead: Number of translations that may be in flight.
        return_exceptions: If an image cannot be translated, yield its error in its place and continue.
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
                except Exception as error:  # yield the results in flight first
                    failure = error
                    break
                waiting.append(submit(image, label))
            if not waiting:
                break
            yield _result(waiting.popleft(), return_exceptions)
    finally:
        for future in waiting:  # the caller stopped early, or a translation failed
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
