"""One file a procedure a visitor comes for."""
