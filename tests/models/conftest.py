from __future__ import annotations

from tests.models.packs import dlib_detector as dlib_detector
from tests.models.packs import dlib_embedder as dlib_embedder
from tests.models.packs import dlib_landmarks as dlib_landmarks
from tests.models.packs import pack as pack
