"""What the visitor sees, hears and touches. The one door to pygame."""

import os

# pygame greets on standard output when it is imported; `kiosk` commands print JSON there.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
