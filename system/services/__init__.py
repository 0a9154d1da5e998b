"""Programs that run beside ours in the demo and in tests: each real, on ports and folders of its own, on loopback only."""
