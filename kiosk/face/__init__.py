"""Faces: from a frame to a decision, on the device."""
