"""The parts of the command `demo`: accounts, sample conversations, a server, and the probe of its pages."""
