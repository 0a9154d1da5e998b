"""Checking slips with nothing but the published keys: in a shell, and on a page that needs no server."""
