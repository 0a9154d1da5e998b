"""The kiosk: reads a card, matches a face, signs a record and keeps it until the centre has it."""
