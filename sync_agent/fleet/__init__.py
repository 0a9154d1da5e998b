"""What the centre knows of its devices: enrolment, keys, presence, telemetry."""
