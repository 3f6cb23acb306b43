"""The proxy, without which Django could not build the state of the models."""

from django.conf import settings
from django.db import migrations


class Migration(migrations.Migration):
    """No table."""

    initial = True
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(name="Guest", fields=[], options={"proxy": True, "indexes": []}, bases=("auth.user",))
    ]
