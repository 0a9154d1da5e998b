"""Where letters were before; `inbox` now."""

from sync_agent.ingest.inbox import Letter

__all__ = ["Letter"]
