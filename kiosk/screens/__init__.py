"""What the visitor sees, hears and touches. The one door to pygame."""
