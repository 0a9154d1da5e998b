"""The rules: one file a subject, pure; `apply` is the way in."""

from sync_agent.registry.rules.apply import Applied, NoRule, apply
from sync_agent.registry.rules.decision import RuleBook

__all__ = ["Applied", "NoRule", "RuleBook", "apply"]
