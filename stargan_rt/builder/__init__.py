"""From one ONNX file to the best engine for a machine: precision, compilation, quality gate.

    artifact = build("g.onnx", BuildConfig(precision="int8", calib="faces/"))
    engine = Engine.load(artifact.path)

`typed_graph` gives the graph of a precision alone, without files.
"""

from stargan_rt.builder.config import BUDGET_DB, GROUPS, BuildConfig
from stargan_rt.builder.steps import Artifact, build
from stargan_rt.builder.typed import typed_graph

__all__ = ["BUDGET_DB", "GROUPS", "Artifact", "BuildConfig", "build", "typed_graph"]
