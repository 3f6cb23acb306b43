"""Owns the adaptations to other packages, one module for each; each works without its package too."""
