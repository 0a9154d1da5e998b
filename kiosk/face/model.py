"""One ONNX graph that takes pictures: the door to onnxruntime, with threads bounded and no spinning beside the screen."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
Floats = NDArray[np.float32]

_UNKNOWN: Final = None


class BadModel(Exception):
    """These bytes are no graph of the kind they should be; says what is wrong. Permanent."""


class NotNumbers(Exception):
    """A graph gave a value that is no finite number: the model or the machine is broken. Permanent; never a score."""


class Takes(Enum):
    """How a graph takes pictures."""

    CAMERA = "(count, rows, columns, 3) uint8, BGR: our own graphs"
    PLANES_BGR = "(count, 3, rows, columns) float32, 0 to 255, blue first"
    PLANES_RGB = "(count, 3, rows, columns) float32, 0 to 255, red first"


class Model:
    """A graph with one input. Not for several threads at once."""

    def __init__(self, graph: bytes, threads: int, takes: Takes = Takes.CAMERA, *, size: tuple[int, int] | None = None) -> None:
        """Load the graph.

        Args:
            graph: the ONNX file's bytes, already checked against the pack.
            threads: how many the runtime may use, 1 or more.
            takes: how it takes pictures.
            size: rows and columns it must take; None asks for nothing.

        Raises:
            BadModel: no graph, of an operator set the runtime does not know, or its input is another.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, too
        # Waiting threads must sleep: spinning ones cost the screen a quarter of its frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Freed pictures go back to the system instead of lying in an arena after the visit (P05).
        options.enable_cpu_mem_arena = False
        try:
            self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as err:  # onnxruntime's errors have no common base but this one
            raise BadModel(f"the runtime cannot load it ({type(err).__name__}: {_first_line(err)})") from None
        self._takes = takes
        self._check_input(size)
        given = self._session.get_inputs()[0]
        self._name: str = given.name
        self._one_by_one = given.shape[0] == 1
        self.gives: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())

    def __call__(self, images: Pictures) -> Floats:
        """Run a graph with one output over pictures.

        Args:
            images: (count, rows, columns, 3) uint8, BGR.

        Raises:
            NotNumbers: the graph gave something that is no number.
        """
        if self._one_by_one and len(images) > 1:
            return np.concatenate([self.all(images[n : n + 1])[0] for n in range(len(images))])
        return self.all(images)[0]

    def all(self, images: Pictures) -> list[Floats]:
        """Run the graph and return its outputs in its own order; see `__call__`."""
        outputs: list[Floats] = self._session.run(None, {self._name: self._fed(images)})
        for name, output in zip(self.gives, outputs, strict=True):
            if not np.isfinite(output).all():
                raise NotNumbers(f"output {name!r} of the model holds values that are no numbers")
        return outputs

    def _fed(self, images: Pictures) -> NDArray[Any]:
        if self._takes is Takes.CAMERA:
            return images
        return np.asarray(cv2.dnn.blobFromImages(list(images), swapRB=self._takes is Takes.PLANES_RGB))

    def _check_input(self, size: tuple[int, int] | None) -> None:
        # Graphs of old operator sets list their weights among the inputs; the runtime does not.
        inputs = self._session.get_inputs()
        rows, columns = size or (_UNKNOWN, _UNKNOWN)
        is_camera = self._takes is Takes.CAMERA
        kind = "tensor(uint8)" if is_camera else "tensor(float)"
        wanted = (_UNKNOWN, rows, columns, 3) if is_camera else (_UNKNOWN, 3, rows, columns)
        if len(inputs) != 1 or inputs[0].type != kind or not _fits(inputs[0].shape, wanted):
            found = "; ".join(f"{given.name} {given.shape} {given.type}" for given in inputs)
            raise BadModel(f"it takes {found}, not {self._takes.value}" + (f" of {rows} x {columns} pixels" if size else ""))


def _fits(shape: list[int | str | None], wanted: tuple[int | None, ...]) -> bool:
    """Return whether a shape can be the one wanted; what either leaves open fits."""
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(not isinstance(a, int) or b is None or a == b for a, b in pairs)


def _first_line(err: Exception) -> str:
    return str(err).partition("\n")[0][:200]
