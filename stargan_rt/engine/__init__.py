"""The engine: a loaded generator, and what a call passes through on its way to a backend.

Public is `Engine`. Private modules: `passes` (batches and label vectors), `pipeline` (order of `Engine.map`), `folder`
(files in, files out).
"""

from stargan_rt.engine.engine import Engine

__all__ = ["Engine"]
