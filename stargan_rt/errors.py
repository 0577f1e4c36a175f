"""All exceptions of stargan-rt.

    StarGANError
    ├── InputError                 an image, a path or an argument is not usable
    │   └── LabelError             a label is unknown to the model, malformed or contradicts another one
    ├── ExportError                a checkpoint cannot be exported to ONNX
    ├── BuildError                 an engine cannot be built from an ONNX file
    ├── EngineLoadError            a file cannot be loaded as an engine
    │   └── EngineIncompatibleError    the engine was built for another machine or version
    └── MissingDependencyError     a required optional package is not installed

Each message says what happened, what was expected and, where one exists, the command that fixes it. The command line
prints the message without a traceback.
"""


class StarGANError(Exception):
    """Base class of all errors of this package."""


class InputError(StarGANError, ValueError):
    """Raised for an image, a path or an argument that is not usable."""


class LabelError(InputError):
    """Raised for a label that is unknown to the model, malformed or contradicts another one."""


class ExportError(StarGANError):
    """Raised when a checkpoint cannot be exported to ONNX."""


class BuildError(StarGANError):
    """Raised when an engine cannot be built from an ONNX file."""


class EngineLoadError(StarGANError):
    """Raised when a file cannot be loaded as an engine."""


class EngineIncompatibleError(EngineLoadError):
    """Raised when an engine was built for another GPU, driver or library version."""


class MissingDependencyError(StarGANError, ImportError):
    """Raised when an optional package is required but not installed."""
