"""The outbox and the way out of it: the only part with a network."""
