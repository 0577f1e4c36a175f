"""`Engine`: a loaded generator that translates images."""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast, overload

import numpy as np
import numpy.typing as npt

from stargan_rt import backends
from stargan_rt.cuda.interop import Foreign, is_foreign, is_on_device, to_host
from stargan_rt.engine.passes import run_passes
from stargan_rt.engine.pipeline import in_order, paired
from stargan_rt.errors import InputError, StarGANError
from stargan_rt.images import Color, Image, Images, Pixels, fitted, is_one_image, resize
from stargan_rt.labels import Label, Labels, LabelSpace, is_one_label
from stargan_rt.manifest import Manifest, read_manifest
from stargan_rt.models import BUNDLED, bundled_model
from stargan_rt.profiling import Profile

if TYPE_CHECKING:
    from stargan_rt.backends import Backend

P = ParamSpec("P")
R = TypeVar("R")

WORKERS = 2
"""Least threads of `map` and `submit`: one prepares the next image while the other one's is computed."""
TEXTS = 256
"""Labels given as text whose vectors are remembered: making one takes as long as all the rest of `translate`."""


class Engine:
    """A generator, ready to translate images into its domains.

    All methods may be called from several threads at once. Make one with `Engine.load`:

        with Engine.load("avatars") as engine:
            out = engine.translate("face.png", "Blond_Hair")

    Attributes:
        manifest: what the model is.
    """

    def __init__(self, manifest: Manifest, backend: Backend, lanes: int = 1) -> None:
        """For `load` and tests; `backend` becomes the engine's own and is closed with it."""
        self.manifest = manifest
        self._backend = backend
        self._ahead = 2 * max(WORKERS, lanes)
        self._workers = ThreadPoolExecutor(max(WORKERS, lanes), "stargan-rt")
        self._process = os.getpid()
        self._profile: Profile | None = None
        self._passes_of_text = functools.lru_cache(TEXTS)(manifest.labels.passes)
        self._calls = 0
        self._closing = False
        self._changed = threading.Condition()

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] = "avatars",
        *,
        backend: str = "auto",
        threads: int | None = None,
        lanes: int = 1,
        labels: LabelSpace | None = None,
    ) -> Engine:
        """Loads a model or an engine.

        Args:
            path: an ONNX file of ``python -m export`` or ``stargan-rt build``, a TensorRT plan, or
                ``"avatars"``, the bundled model.
            backend: ``"openvino"``, ``"onnxruntime"``, ``"tensorrt"``, ``"tensorrt-rtx"``, or ``"auto"``: the one
                that the engine was built for, else the first that is installed.
            threads: CPU threads; all cores by default.
            lanes: so many calls are under way at a time, each with buffers of its own, which raises the throughput of
                `map`, `submit` and several threads. On a GPU one call's copies overlap another one's computing, and
                one call takes as long as before. On a CPU the cores are shared out: as many lanes as cores make
                `map` faster, and one call takes that many times as long.
            labels: of a plan without its manifest, in the order of the label vector; `backend` is then needed too.

        Raises:
            EngineLoadError: no such file, damaged, or not such a model.
            EngineIncompatibleError: a plan for another GPU or another version of TensorRT.
            InputError: unknown backend, or fewer than one thread or lane.
            MissingDependencyError: the backend is not installed.
        """
        if threads is not None and threads < 1:
            raise InputError(f"threads must be at least 1; got {threads}")
        if lanes < 1:
            raise InputError(f"lanes must be at least 1; got {lanes}")
        if path in BUNDLED:
            path = bundled_model(str(path))
        path = Path(path)
        options = backends.RunOptions(threads=threads, lanes=lanes)
        if labels is not None:
            return cls(*backends.create_bare(backend, path, labels, options), lanes)
        manifest = read_manifest(path)
        return cls(manifest, backends.create(backend, path, manifest, options), lanes)

    @property
    def labels(self) -> LabelSpace:
        """The labels that the model knows."""
        return self.manifest.labels

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's images in pixels; others are resized to it."""
        return self.manifest.size

    @property
    def precision(self) -> str:
        """Arithmetic of the convolutions, such as ``"fp32"``."""
        return self.manifest.precision

    @property
    def backend(self) -> str:
        """Name of the backend that executes, such as ``"openvino"``."""
        return self._backend.name

    @overload
    def translate(
        self,
        image: Image | Images,
        label: Label | Labels,
        *,
        color: Color = ...,
        keep_size: Literal[False] = ...,
        out: Pixels | None = ...,
    ) -> Pixels: ...

    @overload
    def translate(
        self,
        image: Image | Images,
        label: Label | Labels,
        *,
        color: Color = ...,
        keep_size: bool,
        out: Pixels | None = ...,
    ) -> Pixels | list[Pixels]: ...

    @overload
    def translate(self, image: Foreign, label: Label | Labels, *, out: Any = ..., stream: Any = ...) -> Any: ...

    def translate(
        self,
        image: Image | Images | Foreign,
        label: Label | Labels,
        *,
        color: Color = "rgb",
        keep_size: bool = False,
        out: Any = None,
        stream: Any = None,
    ) -> Any:
        """Translates one image or several, and waits for the result, but for arrays on the GPU.

        Args:
            image: one image — uint8 array ``(H, W, 3)``, path or PIL image — or several: a sequence of
                these or an array ``(n, H, W, 3)``. Another size than the network's is resized to it; large JPEG files
                are decoded at a part of their size (`stargan_rt.images.fitted`). Arrays of other
                libraries on the host, such as PyTorch's, are taken as NumPy's.
                On the GPU, an array of PyTorch, CuPy, PyCUDA or of whatever has DLPack or
                ``__cuda_array_interface__``: RGB, of the network's size, C-contiguous, on the engine's GPU.
            label: what to change: names (``"Blond_Hair, happy"``), a mapping (``{"happy": 0.7}``) or the
                raw vector; or a sequence of these, one an image. One label goes with many images and one
                image with many labels. Labels of several data sets of a jointly trained model are
                applied one data set after the other, at the price of a run of the network each.
            color: channel order of arrays, given and returned: ``"rgb"`` or ``"bgr"``.
            keep_size: resize each result back to the size of its image.
            out: array to write the result to, uint8 of the result's shape; it may be `image`. On the GPU, of any
                library.
            stream: for an image on the GPU, the CUDA stream to follow: an object with ``__cuda_stream__``, a stream
                of PyTorch, CuPy or PyCUDA, or its handle; by default the one that the array's library uses now.
                The image must be ready, and the result is, in the order of this stream; the host waits for neither.

        Returns:
            `out` where it is given, else a fresh array. One image and one label: uint8 ``(H, W, 3)`` with values in
            [0, 255]. Several: ``(n, H, W, 3)``, or with `keep_size` a list of n arrays. For an image on the GPU, an
            array of its library, on the same GPU; of an unknown library, an object with both protocols.

        Raises:
            InputError: an image, `out` or stream that can't be used, or lengths that don't fit together.
            LabelError: a label that the model does not have.
        """
        with self._call():
            return self._timed(self._translate, image, label, color, keep_size, out, stream)

    def _translate(
        self,
        image: Image | Images | Foreign,
        label: Label | Labels,
        color: Color,
        keep_size: bool,
        out: Any,
        stream: Any,
    ) -> Any:
        if not isinstance(image, np.ndarray) and is_foreign(image):
            if is_on_device(image):
                return self._translate_on_device(image, label, color, keep_size, out, stream)
            image = to_host(image)
        image = cast("Image | Images", image)
        if stream is not None:
            raise InputError("stream= goes with an image on the GPU; this one is on the host")
        if is_one_image(image) and is_one_label(label):
            return self._translate_one(image, label, color, keep_size, out)
        images = [image] if is_one_image(image) else cast(Images, image)
        ready = [_fitted(i, self.size, color) for i in images]
        pixels = [one for one, _ in ready]
        labels = [label] if is_one_label(label) else cast(Labels, label)
        if out is not None:
            if keep_size:
                raise InputError("out= takes several results of one size; leave out keep_size")
            _check_out(out, (max(len(pixels), len(labels)), *self.size, 3))
        outputs = _reordered(run_passes(self._backend, pixels, [self._passes(one) for one in labels]), color)
        if out is not None:
            np.copyto(out, outputs)
            return out
        if not keep_size:
            return outputs
        shapes = [shape for _, shape in ready]
        shapes = shapes * len(outputs) if len(shapes) == 1 else shapes
        return [resize(out, shape) for out, shape in zip(outputs, shapes, strict=True)]

    def _translate_one(
        self, image: Image, label: Label, color: Color, keep_size: bool, out: Pixels | None = None
    ) -> Pixels:
        pixels, shape = _fitted(image, self.size, color)
        passes = self._passes(label)
        if out is not None:
            _check_out(out, (*(shape if keep_size else self.size), 3))
            if color == "rgb" and out.shape == (*self.size, 3):
                run_passes(self._backend, [pixels], [passes], out[None])
                return out
        output = _reordered(run_passes(self._backend, [pixels], [passes])[0], color)
        if keep_size:
            output = resize(output, shape)
        if out is None:
            return output
        np.copyto(out, output)
        return out

    def _translate_on_device(
        self, image: Foreign, label: Label | Labels, color: Color, keep_size: bool, out: Any, stream: Any
    ) -> Any:
        if color != "rgb" or keep_size:
            raise InputError(
                "an image on the GPU is translated as it is, RGB and of the network's size; leave out color "
                "and keep_size"
            )
        if is_one_label(label):
            return self._backend.run_on_device(image, self._passes(label), out, stream)
        requests = [self._passes(one) for one in cast(Labels, label)]
        if len({len(request) for request in requests}) != 1:
            raise InputError(
                "for images on the GPU, each label of a call must name as many data sets as the others; give at least "
                "one label, and call once for each kind"
            )
        passes = [np.stack(vectors) for vectors in zip(*requests, strict=True)]
        return self._backend.run_on_device(image, passes, out, stream)

    def translate_all(self, image: Image, *, color: Color = "rgb", keep_size: bool = False) -> dict[str, Pixels]:
        """Translates one image into every domain: label name → result, in the order of `labels.names`.

        Arguments, results and errors are those of `translate`.
        """
        if not is_one_image(image):
            raise InputError("translate_all takes one image; call it for each")
        outputs = self.translate(image, list(self.labels.names), color=color, keep_size=keep_size)
        return dict(zip(self.labels.names, outputs, strict=True))

    def submit(self, image: Image, label: Label, *, color: Color = "rgb", keep_size: bool = False) -> Future[Pixels]:
        """Translates one image in the background; the Future holds the result of `translate` or its error.

        Arrays are copied at once, so the caller may reuse them; they are on the host.
        """
        if not isinstance(image, np.ndarray) and is_foreign(image):
            image = to_host(image)
        self._check_process()
        with self._changed:
            self._check_open()
            image = image.copy() if isinstance(image, np.ndarray) else image
            label = copy.copy(label)
            return self._workers.submit(lambda: self._timed(self._translate_one, image, label, color, keep_size))

    @overload
    def map(
        self,
        images: Iterable[Image],
        label: Label | Iterable[Label],
        *,
        color: Color = ...,
        keep_size: bool = ...,
        return_exceptions: Literal[True],
    ) -> Iterator[Pixels | StarGANError]: ...

    @overload
    def map(
        self, images: Iterable[Image], label: Label | Iterable[Label], *, color: Color = ..., keep_size: bool = ...
    ) -> Iterator[Pixels]: ...

    def map(
        self,
        images: Iterable[Image],
        label: Label | Iterable[Label],
        *,
        color: Color = "rgb",
        keep_size: bool = False,
        return_exceptions: bool = False,
    ) -> Iterator[Pixels | StarGANError]:
        """Translates a stream of images, in order: the next ones are read and prepared meanwhile.

        Takes from `images` only a few ahead of what it has given out, so endless streams work. An engine loaded with
        several lanes is faster here.

        Args:
            images: any iterable of images.
            label: one label for all, or an iterable with one an image.
            color, keep_size: as for `translate`.
            return_exceptions: yield the error of an image that can't be translated in its place, and go on.

        Returns:
            An iterator over the result of `translate` for every image.

        Raises:
            InputError: at once, one image in place of several; from the iterator, an image that can't be used, when its
                turn comes, or fewer labels than images.
            LabelError: a label that the model does not have; at once if it is for all.
        """
        if isinstance(images, (str, os.PathLike)) or (isinstance(images, np.ndarray) and images.ndim in (2, 3)):
            raise InputError("map takes several images and got one; call translate(image, label) for it")
        if is_one_label(label):
            self._passes(label)  # refused here, not once an image
            labels: Iterable[Label] = itertools.repeat(label)
        else:
            labels = cast("Iterable[Label]", label)
        submit = functools.partial(self.submit, color=color, keep_size=keep_size)
        return in_order(paired(images, labels), submit, self._ahead, return_exceptions)

    @contextlib.contextmanager
    def profile(self) -> Iterator[Profile]:
        """Times every call that is made meanwhile, from any thread.

            with engine.profile() as profile:
                engine.translate("face.png", "happy")
            print(profile.median(), profile.memory_bytes)

        Profiled calls take a little longer: on a GPU, copies are no part of the graph then, and calls with arrays
        on the GPU wait for their result. Where the package ``nvtx`` is installed, they show as ranges in Nsight
        Systems.

        Yields:
            What is filled in as calls end.

        Raises:
            InputError: the engine is being profiled already, or closed.
        """
        self._check_process()
        profile = Profile()
        with self._changed:
            self._check_open()
            if self._profile is not None:
                raise InputError("this engine is being profiled already; end that profile first")
            self._profile = profile
        try:
            yield profile
        finally:
            self._profile = None
            if not self._closing:
                profile.memory_bytes = self._backend.memory_bytes()

    def close(self) -> None:
        """Waits for calls and futures in flight, then frees the network; no call begins any more.

        Not to be called from a callback of a future, which would wait for itself.
        """
        if os.getpid() != self._process:
            return  # nothing of it works here, and the other process still uses it
        with self._changed:
            if self._closing:
                return
            self._closing = True
        self._workers.shutdown(wait=True)
        with self._changed:
            self._changed.wait_for(lambda: self._calls == 0)
        self._backend.close()

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise InputError(
                "this engine was loaded before the process forked, and neither its threads nor the GPU can be used in "
                "the new process; load it there, or start processes by 'spawn' (multiprocessing.set_start_method)"
            )

    def _check_open(self) -> None:
        if self._closing:
            raise InputError("this engine is closed; load it again with Engine.load")

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        """A call in flight, which `close` waits for."""
        self._check_process()  # before the lock, which another thread may have held when the process forked
        with self._changed:
            self._check_open()
            self._calls += 1
        try:
            yield
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def _timed(self, work: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
        profile = self._profile
        if profile is None:
            return work(*arguments, **options)
        with profile.call():
            return work(*arguments, **options)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width = self.size
        return f"<Engine {width}x{height}, {len(self.labels.names)} labels, {self.precision}, {self.backend}>"

    def _passes(self, label: Label) -> list[npt.NDArray[np.float32]]:
        """The label vectors, which are read only: others may use them too."""
        return self._passes_of_text(label) if isinstance(label, str) else self.labels.passes(label)


def _fitted(image: Image, size: tuple[int, int], color: Color) -> tuple[Pixels, tuple[int, int]]:
    if not isinstance(image, np.ndarray) and is_foreign(image):
        image = to_host(image)
    return fitted(image, size, color)


def _check_out(out: Any, shape: tuple[int, ...]) -> None:
    fits = isinstance(out, np.ndarray) and out.dtype == np.uint8 and out.shape == shape and out.flags.writeable
    if not fits:
        what = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__qualname__
        raise InputError(f"out= must be a writable uint8 NumPy array of shape {shape} for this image; got {what}")


def _reordered(pixels: Pixels, color: Color) -> Pixels:
    return pixels if color == "rgb" else np.ascontiguousarray(pixels[..., ::-1])
