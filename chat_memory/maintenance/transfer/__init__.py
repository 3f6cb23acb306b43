"""Owns the import and the export of conversations; the formats of lines are in ``formats``."""
