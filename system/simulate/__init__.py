"""The outside world for training, demo and tests: a virtual card, a film for the camera, the services around a kiosk."""
