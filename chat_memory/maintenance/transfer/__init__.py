"""Owns the import and the export of conversations; the line formats are in ``formats``."""
