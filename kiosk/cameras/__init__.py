"""Cameras: one seam, several kinds."""
