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
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec, TypeVar, cast, overload

import numpy as np
import numpy.typing as npt

from stargan_rt import backends
from stargan_rt.cuda.interop import Foreign, is_foreign, is_on_device, to_host
from stargan_rt.engine.faces import Faces, chosen_faces, face_regions, translate_regions
from stargan_rt.engine.gather import Gatherer
from stargan_rt.engine.passes import run_passes
from stargan_rt.engine.pipeline import in_order, paired
from stargan_rt.errors import InputError, StarGANError
from stargan_rt.faces import FaceDetector
from stargan_rt.images import Color, Image, Images, Pixels, as_pixels, fitted, is_one_image, resize
from stargan_rt.labels import Label, Labels, LabelSpace, is_one_label
from stargan_rt.manifest import Manifest, read_manifest
from stargan_rt.models import model_path
from stargan_rt.profiling import Profile

if TYPE_CHECKING:
    from stargan_rt.backends import Backend

P = ParamSpec("P")
R = TypeVar("R")

WORKERS = 2
"""Minimum number of threads of `map` and `submit`: one prepares an image while the other one runs the network."""
TEXTS = 256
"""Number of text labels whose vectors are cached: encoding one takes as long as the rest of `translate`."""


class Buffers(NamedTuple):
    """An array for an image and one for its result, of `Engine.buffers`: uint8 ``(H, W, 3)``."""

    image: Pixels
    out: Pixels


class Engine:
    """A loaded generator, which translates images into its domains.

    All methods are thread-safe. Create an engine with `Engine.load`:

        with Engine.load("avatars") as engine:
            out = engine.translate("face.png", "Blond_Hair")

    Attributes:
        manifest: The description of the model: labels, size, precision, origin.
    """

    def __init__(self, manifest: Manifest, backend: Backend, lanes: int = 1) -> None:
        """Use `Engine.load` instead. The engine owns `backend` and closes it."""
        self.manifest = manifest
        self._backend = backend
        self._ahead = 2 * max(WORKERS, lanes)
        self._workers = ThreadPoolExecutor(max(WORKERS, lanes), "stargan-rt")
        self._gatherer: Gatherer | None = None
        if backend.gathers and backend.max_batch > 1:
            self._gatherer = Gatherer(functools.partial(run_passes, backend), backend.max_batch, lanes)
            self._ahead = 2 * lanes * backend.max_batch  # one batch runs while the next one is prepared
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
        device: int | str | None = None,
        labels: LabelSpace | None = None,
    ) -> Engine:
        """Load an engine or an exported model.

        Args:
            path: An ONNX file written by ``python -m export`` or ``stargan-rt build``, a TensorRT plan, or
                ``"avatars"``, the bundled model.
            backend: ``"openvino"``, ``"onnxruntime"``, ``"tensorrt"``, ``"tensorrt-rtx"``, or ``"auto"``: the backend
                that the engine was built for, else the first one that is installed.
            threads: Number of CPU threads; all cores by default.
            lanes: Number of calls that may run concurrently, each with its own buffers. More lanes raise the
                throughput of `map`, `submit` and calls from several threads. On a GPU, the copies of one call then
                overlap with the computation of another, and the latency of a call stays the same. On a CPU the lanes
                share the cores: with one lane per core, `map` is faster, and the latency of a single call grows by
                that factor.
            device: Where to run. For a plan, the GPU as a number or ``"cuda:1"``; the first GPU by default. For
                ``"onnxruntime"``, ``"cpu"``, ``"cuda:0"``, ``"tensorrt:0"``, ``"dml:0"`` or ``"coreml"``; the CPU by
                default. The current CUDA device of the calling thread is not changed.
            labels: The label space of a plan without a manifest, in the order of the label vector. Requires `backend`.

        Raises:
            EngineLoadError: The file does not exist, is damaged, or is not a StarGAN model.
            EngineIncompatibleError: The plan was built for another GPU or another version of TensorRT.
            InputError: The backend is unknown, or `threads` or `lanes` is below 1.
            MissingDependencyError: The backend is not installed.
        """
        if threads is not None and threads < 1:
            raise InputError(f"threads must be at least 1; got {threads}")
        if lanes < 1:
            raise InputError(f"lanes must be at least 1; got {lanes}")
        path = model_path(path)
        options = backends.RunOptions(threads=threads, lanes=lanes, device=device)
        if labels is not None:
            return cls(*backends.create_bare(backend, path, labels, options), lanes)
        manifest = read_manifest(path)
        return cls(manifest, backends.create(backend, path, manifest, options), lanes)

    @property
    def labels(self) -> LabelSpace:
        """The label space of the model."""
        return self.manifest.labels

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's images in pixels. Images of other sizes are resized to it."""
        return self.manifest.size

    @property
    def precision(self) -> str:
        """Arithmetic of the convolutions, such as ``"fp32"`` or ``"int8"``."""
        return self.manifest.precision

    @property
    def device(self) -> str:
        """Where the network runs, such as ``"cpu"`` or ``"cuda:0"``."""
        return self._backend.device

    @property
    def backend(self) -> str:
        """Name of the backend that runs the network, such as ``"openvino"``."""
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
        """Translate one or several images.

        Args:
            image: One image — a uint8 array ``(H, W, 3)``, a path or a PIL image — or several: a sequence of these, or
                an array ``(n, H, W, 3)``. Images of another size are resized to the network's; large JPEG files are
                decoded at reduced resolution. Host arrays of other libraries, such as PyTorch, are accepted too.
                On a GPU: an array of PyTorch, CuPy, PyCUDA or any library with DLPack or
                ``__cuda_array_interface__``, RGB, of the network's size, C-contiguous, on the GPU of the engine.
            label: What to change: names (``"Blond_Hair, happy"``), a mapping (``{"happy": 0.7}``) or the raw vector; or
                a sequence of these, one per image. One label may be combined with many images, and one image with
                many labels. Labels of several data sets of a jointly trained model are applied one data set after
                the other, with one run of the network each.
            color: Channel order of input and output arrays: ``"rgb"`` or ``"bgr"``.
            keep_size: Resize each result to the size of its input image.
            out: A uint8 array of the result's shape to write the result to; may be `image` itself. For an image on
                the GPU, an array of any library on the same GPU.
            stream: For an image on the GPU, the CUDA stream to use: an object with ``__cuda_stream__``, a stream of
                PyTorch, CuPy or PyCUDA, or a stream handle. Default: the current stream of the array's library.
                The image is read, and the result is written, in the order of this stream; the host does not wait.

        Returns:
            `out` if given, else a new array. For one image and one label, uint8 ``(H, W, 3)`` with values in [0, 255];
            for several, ``(n, H, W, 3)``, or with `keep_size` a list of n arrays. For an image on the GPU, an array
            of the same library on the same GPU, or for unknown libraries an object with both protocols.

        Raises:
            InputError: An image, `out` or `stream` is not usable, or the numbers of images and labels do not match.
            LabelError: The model has no such label.
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
            raise InputError("stream= requires an image on the GPU; this image is on the host")
        if is_one_image(image) and is_one_label(label):
            return self._translate_one(image, label, color, keep_size, out)
        images = [image] if is_one_image(image) else cast(Images, image)
        ready = [_fitted(i, self.size, color) for i in images]
        pixels = [one for one, _ in ready]
        labels = [label] if is_one_label(label) else cast(Labels, label)
        if out is not None:
            if keep_size:
                raise InputError("out= holds results of one size; remove keep_size")
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
            raise InputError("an image on the GPU must be RGB and have the network's size; remove color and keep_size")
        if is_one_label(label):
            return self._backend.run_on_device(image, self._passes(label), out, stream)
        requests = [self._passes(one) for one in cast(Labels, label)]
        if len({len(request) for request in requests}) != 1:
            raise InputError(
                "for images on the GPU, all labels of a call must name the same number of data sets, and at least one "
                "label is required; call translate once per number of data sets"
            )
        passes = [np.stack(vectors) for vectors in zip(*requests, strict=True)]
        return self._backend.run_on_device(image, passes, out, stream)

    def translate_all(self, image: Image, *, color: Color = "rgb", keep_size: bool = False) -> dict[str, Pixels]:
        """Translate one image into every domain.

        Returns:
            Label name → result, in the order of `labels.names`. Arguments, results and errors are those of `translate`.
        """
        if not is_one_image(image):
            raise InputError("translate_all takes one image; call it once per image")
        outputs = self.translate(image, list(self.labels.names), color=color, keep_size=keep_size)
        return dict(zip(self.labels.names, outputs, strict=True))

    def translate_faces(
        self,
        image: Image,
        label: Label | Labels,
        faces: Faces = "all",
        *,
        detector: FaceDetector | None = None,
        alignment: str | None = None,
        color: Color = "rgb",
    ) -> Pixels:
        """Translate the faces in an image and leave the rest of it as it is.

            picture = engine.translate_faces("party.jpg", "happy")

        Each face is aligned as in the training set, translated, and blended back with a soft edge. All faces go
        through the network in one batch.

        Args:
            image: One image of any size, as for `translate`.
            label: As for `translate`; or a sequence with one label for each face.
            faces: ``"all"``, ``"largest"``, or the faces to translate, from `FaceDetector.find`.
            detector: Finds the faces. Defaults to the one that ``stargan-rt detector install`` downloaded.
            alignment: How the training set shows faces, one of `stargan_rt.faces.ALIGNMENTS`. Defaults to the
                model's own.
            color: Channel order of the array given and returned: ``"rgb"`` or ``"bgr"``.

        Returns:
            A new uint8 array ``(H, W, 3)`` of the image's size.

        Raises:
            InputError: The image can't be used, or no face was found in it.
            LabelError: The model does not have a label.
            MissingDependencyError: No detector is installed.
        """
        with self._call():
            pixels = as_pixels(image, color)
            found = chosen_faces(pixels, faces, detector)
            requests = [self._passes(one) for one in ([label] if is_one_label(label) else cast(Labels, label))]
            pixels = pixels.copy()
            regions = face_regions(found, alignment or self.manifest.alignment, self.size)
            translate_regions(pixels, regions, self.size, lambda crops: run_passes(self._backend, crops, requests))
            return _reordered(pixels, color)

    def submit(self, image: Image, label: Label, *, color: Color = "rgb", keep_size: bool = False) -> Future[Pixels]:
        """Translate one image in the background.

        Arrays are copied before this method returns, so the caller may reuse them. Arrays on a GPU are not accepted.

        Returns:
            A Future with the result or the error of `translate`.
        """
        if not isinstance(image, np.ndarray) and is_foreign(image):
            image = to_host(image)
        self._check_process()
        with self._changed:
            self._check_open()
            image = image.copy() if isinstance(image, np.ndarray) else image
            label = copy.copy(label)
            if self._gatherer is not None and self._profile is None:  # a profile counts images one by one
                future: Future[Pixels] = Future()
                self._workers.submit(self._gather, self._gatherer, future, image, label, color, keep_size)
                return future
            return self._workers.submit(lambda: self._timed(self._translate_one, image, label, color, keep_size))

    def _gather(
        self, gatherer: Gatherer, future: Future[Pixels], image: Image, label: Label, color: Color, keep_size: bool
    ) -> None:
        """Prepare an image, and let it be translated with the next batch."""
        if not future.set_running_or_notify_cancel():
            return

        def finish(translated: Future[Pixels]) -> None:
            try:
                output = _reordered(translated.result(), color)
                future.set_result(resize(output, shape) if keep_size else output)
            except BaseException as error:
                future.set_exception(error)

        try:
            pixels, shape = _fitted(image, self.size, color)
            gatherer.submit(pixels, self._passes(label)).add_done_callback(finish)
        except BaseException as error:
            future.set_exception(error)

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
        """Translate a stream of images in order, preparing the next images while the network runs.

        Only a few images are read ahead, so endless iterables work. Load the engine with several lanes for more
        throughput.

        Args:
            images: Any iterable of images.
            label: One label for all images, or an iterable with one label per image.
            color, keep_size: As for `translate`.
            return_exceptions: If an image cannot be translated, yield its error in its place and continue.

        Returns:
            An iterator over the results of `translate`, in the order of `images`.

        Raises:
            InputError: Immediately if `images` is a single image; from the iterator, when the turn of an unusable
                image comes, or if there are fewer labels than images.
            LabelError: The model has no such label. Raised immediately if the label is for all images.
        """
        if isinstance(images, (str, os.PathLike)) or (isinstance(images, np.ndarray) and images.ndim in (2, 3)):
            raise InputError("map takes several images and got one; use translate(image, label)")
        if is_one_label(label):
            self._passes(label)  # check it once, before any image is read
            labels: Iterable[Label] = itertools.repeat(label)
        else:
            labels = cast("Iterable[Label]", label)
        submit = functools.partial(self.submit, color=color, keep_size=keep_size)
        return in_order(paired(images, labels), submit, self._ahead, return_exceptions)

    def buffers(self) -> Buffers:
        """Return an array for an image and one for its result, which `translate` need not copy on a GPU.

            image, out = engine.buffers()
            while camera.read(image):
                engine.translate(image, "happy", out=out)

        On a GPU both are in pinned memory, which a discrete GPU copies from and to directly, and an integrated one
        (Jetson) reads and writes in place. On a CPU they are ordinary arrays. Give both to `translate`, in RGB order;
        each pair is for one thread at a time. The memory is freed with the arrays.

        Returns:
            ``(image, out)``, each uint8 ``(H, W, 3)`` of the network's size, and zeros.

        Raises:
            InputError: the engine is closed.
        """
        with self._call():
            return Buffers(*self._backend.buffers(self.size))

    @contextlib.contextmanager
    def profile(self) -> Iterator[Profile]:
        """Measure the stages of all calls made within the block, from any thread.

            with engine.profile() as profile:
                engine.translate("face.png", "happy")
            print(profile.median(), profile.memory_bytes)

        Profiled calls take a little longer: on a GPU the copies are then not part of the CUDA graph, and calls with
        arrays on the GPU wait for their result. If the package ``nvtx`` is installed, the stages appear as ranges in
        Nsight Systems.

        Yields:
            A `Profile`, which is filled in as calls complete.

        Raises:
            InputError: The engine is closed, or another profile is active.
        """
        self._check_process()
        profile = Profile()
        with self._changed:
            self._check_open()
            if self._profile is not None:
                raise InputError("another profile of this engine is active; end it first")
            self._profile = profile
        try:
            yield profile
        finally:
            self._profile = None
            if not self._closing:
                profile.memory_bytes = self._backend.memory_bytes()
                profile.launching = self._backend.launching()

    def close(self) -> None:
        """Wait for calls and futures in flight, then free the network. Later calls raise `InputError`.

        Do not call this from a callback of a future: it would wait for itself.
        """
        if os.getpid() != self._process:
            return  # unusable after a fork, and the parent process still uses it
        with self._changed:
            if self._closing:
                return
            self._closing = True
        self._workers.shutdown(wait=True)
        if self._gatherer is not None:
            self._gatherer.close()
        with self._changed:
            self._changed.wait_for(lambda: self._calls == 0)
        self._backend.close()

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise InputError(
                "this engine was loaded before the process forked; its threads and the GPU are not usable in the child "
                "process. Load the engine there, or use the start method 'spawn' (multiprocessing.set_start_method)"
            )

    def _check_open(self) -> None:
        if self._closing:
            raise InputError("this engine is closed; load it again with Engine.load")

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        """Count a call in flight, which `close` waits for."""
        self._check_process()  # before the lock, which another thread may have held during a fork
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
        """Return the label vectors of a request. They may be cached and must not be modified."""
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
