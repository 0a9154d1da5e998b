"""Take, check, apply, answer: records into the registry, exactly once in effect."""
