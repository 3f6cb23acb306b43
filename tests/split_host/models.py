"""A proxy of the user model, as hosts have them; it has no table."""

from django.contrib.auth.models import User


class Guest(User):
    """A user under another name."""

    class Meta:
        proxy = True
