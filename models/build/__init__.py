"""Public weights into model packs: read the format they were published in, write what the kiosk runs."""
