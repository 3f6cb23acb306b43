"""What the command `demo` is made of: people, samples, a server, and the probe of its pages."""
