"""Owns what other packages expect of ours, one module each; each works without its package too."""
