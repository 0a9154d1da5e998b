"""The staff pages: what central staff see of registry and fleet."""
