"""From one ONNX file to the fastest engine for a machine: precision, compilation, quality gate.

    artifact = build("g.onnx", BuildConfig(precision="int8", calib="faces/"))
    engine = Engine.load(artifact.path)

`typed_graph` gives the graph of a precision alone, without files.

Private but for `build`, `BuildConfig` and `Artifact`, which `stargan_rt` exports.
"""

from typing import TYPE_CHECKING

from stargan_rt._lazy import lazy

if TYPE_CHECKING:
    from stargan_rt.builder.artifact import Artifact
    from stargan_rt.builder.config import BUDGET_DB, GROUPS, BuildConfig
    from stargan_rt.builder.steps import build
    from stargan_rt.builder.typed import typed_graph

__all__ = ["BUDGET_DB", "GROUPS", "Artifact", "BuildConfig", "build", "typed_graph"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "BUDGET_DB": "config",
        "GROUPS": "config",
        "Artifact": "artifact",
        "BuildConfig": "config",
        "build": "steps",
        "typed_graph": "typed",
    },
)
