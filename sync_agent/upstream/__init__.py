"""One file an outside system (U1-U8) behind one connector interface."""
