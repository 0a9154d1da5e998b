"""The rules: one file a subject, pure; `apply` is the way in."""

from sync_agent.registry.rules.apply import Applied, NoRule, apply
from sync_agent.registry.rules.decision import RuleBook
from sync_agent.registry.rules.rows import Rows

__all__ = ["Applied", "NoRule", "Rows", "RuleBook", "apply"]
