"""The appliance, the set-up commands, and the outside world for demo and tests."""
