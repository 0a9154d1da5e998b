"""One ONNX graph that takes pictures: the door to onnxruntime, with threads bounded and no spinning beside the screen."""

from __future__ import annotations

from typing import cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Model:
    """A graph with one input, ``images``, and one output. Not for several threads at once."""

    def __init__(self, graph: bytes, threads: int) -> None:
        """Load the graph.

        Args:
            graph: the ONNX file's bytes, already checked against the pack.
            threads: how many the runtime may use, 1 or more.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Waiting threads must sleep: spinning ones cost the screen a quarter of its frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Freed pictures go back to the system instead of lying in an arena after the visit (P05).
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def __call__(self, images: Pictures) -> Floats:
        """Run the graph.

        Args:
            images: (count, height, width, 3) uint8, BGR.
        """
        return cast(Floats, self._session.run(None, {"images": images})[0])
