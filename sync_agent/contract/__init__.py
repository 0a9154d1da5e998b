"""What crosses the wire between a kiosk and the sync agent. Imports nothing of ours."""
