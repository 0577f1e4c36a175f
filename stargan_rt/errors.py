"""Every error that stargan-rt raises on purpose.

    StarGANError
    ├── InputError                 an image, a path or an argument that can't be used
    │   └── LabelError             a label that the model does not have, or that contradicts another
    ├── ExportError                a checkpoint that can't become an ONNX file
    ├── BuildError                 an ONNX file that can't become an engine
    ├── EngineLoadError            a file that can't be loaded as an engine
    │   └── EngineIncompatibleError    … because it was made for another machine or version
    └── MissingDependencyError     an optional package that is needed and not installed

A message says what happened, what was expected and, where there is one, the command that mends it.
"""


class StarGANError(Exception):
    """Base of all errors of this package; the CLI prints it without a traceback."""


class InputError(StarGANError, ValueError):
    """An image, a path or an argument that can't be used."""


class LabelError(InputError):
    """A label that the model does not have, or that contradicts another."""


class ExportError(StarGANError):
    """A checkpoint that can't become an ONNX file."""


class BuildError(StarGANError):
    """An ONNX file that can't become an engine."""


class EngineLoadError(StarGANError):
    """A file that can't be loaded as an engine."""


class EngineIncompatibleError(EngineLoadError):
    """An engine made for another machine, driver or library version."""


class MissingDependencyError(StarGANError, ImportError):
    """An optional package that is needed and not installed."""
