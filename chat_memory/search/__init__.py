"""Full text over the messages of Django's models, as an app of its own: its index costs every append something."""
