"""Owns the import and the export of conversations; what a line says is for ``formats``."""
