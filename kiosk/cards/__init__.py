"""Cards and readers: one result type, one seam, several kinds."""
