"""The outbox as release 1 had it (commit 1495bd2), word for word but for one import: a newer database must still serve it."""
