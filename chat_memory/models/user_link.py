"""Owns the foreign key from a row to its user, who may be in another database than the row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db import connections, models, router
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor
from django.db.models.query import QuerySet

if TYPE_CHECKING:
    from django.db.models.deletion import Collector

    ForeignKey = models.ForeignKey[Any, Any]
    Accessor = ForwardManyToOneDescriptor[Any]
else:
    ForeignKey = models.ForeignKey
    Accessor = ForwardManyToOneDescriptor


def users_of(model: type[models.Model], alias: str) -> str:
    """The database of the users that the rows of a model in the database ``alias`` belong to.

    Rows in the database that the router chooses belong to the users in the database that it chooses for users. Rows in
    any other database belong to the users of that database, if its migrations create the users' table.
    """
    user_model = get_user_model()
    if alias != router.db_for_write(model) and router.allow_migrate_model(alias, user_model):
        return alias
    return router.db_for_write(user_model)


def has_table(model: type[models.Model], alias: str) -> bool:
    """Whether a database holds the table of a model; it is asked only if the router allows the table there."""
    return router.allow_migrate_model(alias, model) and model._meta.db_table in _tables(alias)


def _tables(alias: str) -> list[str]:
    return connections[alias].introspection.table_names()


def _is_beside_users(model: type[models.Model], using: str) -> bool:
    """Whether the database that a user is deleted from also holds the rows that link to this user."""
    if users_of(model, using) != using:
        return False
    return using == router.db_for_write(model) or has_table(model, using)


def empty_link(collector: Collector, field: Any, rows: QuerySet[Any], using: str) -> None:
    """SET_NULL in the database that the user is deleted from; ``storage.orm.owners`` handles all others."""
    if _is_beside_users(field.model, using):
        # Before SET_NULL, because these updates find the rows by the user that SET_NULL removes.
        for name, value in left(field.model).items():
            collector.add_field_update(field.model._meta.get_field(name), value, rows)
        models.SET_NULL(collector, field, rows, using)


def left(model: type[models.Model]) -> dict[str, Any]:
    """The columns to set besides the link when a row's user is deleted; ``changed_at`` is for syncing readers."""
    is_listed = any(field.name == "changed_at" for field in model._meta.fields)
    return {"user_left": True} | ({"changed_at": datetime.now(UTC)} if is_listed else {})


def remove_row(collector: Collector, field: Any, rows: QuerySet[Any], using: str) -> None:
    """CASCADE in the database that the user is deleted from; ``storage.orm.owners`` handles all others."""
    if _is_beside_users(field.model, using):
        models.CASCADE(collector, field, rows, using)


# Otherwise Django would query the rows before it calls these, in a database that may not have the table.
empty_link.lazy_sub_objs = remove_row.lazy_sub_objs = True  # type: ignore[attr-defined]  # as on models.SET_NULL


class UserAccessor(Accessor):
    """The attribute ``user`` of a row; Django's own reads and accepts users only in the row's database."""

    field: UserLink

    def get_queryset(self, **hints: Any) -> QuerySet[Any]:
        """Django's queryset, in the database of the row's users."""
        queryset = super().get_queryset(**hints)
        row = hints.get("instance")
        elsewhere = None if row is None else self.field.elsewhere(row._state.db)
        return queryset if elsewhere is None else queryset.using(elsewhere)

    def get_prefetch_querysets(self, instances: Any, querysets: Any = None) -> Any:
        """Django's, in the database of the users of the first row."""
        given = querysets or [self.get_queryset(instance=instances[0])]
        return super().get_prefetch_querysets(instances, given)

    def __set__(self, instance: Any, value: Any) -> None:
        """Set the user; the router is not asked whether it allows the relation if users are in another database."""
        if not isinstance(value, get_user_model()._meta.concrete_model or ()):
            super().__set__(instance, value)
            return
        if instance._state.db is None:
            instance._state.db = router.db_for_write(type(instance), instance=value)
        if self.field.elsewhere(instance._state.db) is None:
            super().__set__(instance, value)
            return
        setattr(instance, self.field.attname, getattr(value, self.field.target_field.attname))
        self.field.set_cached_value(instance, value)


class UserLink(ForeignKey):
    """A foreign key to the user without a database constraint; to migrations it is a plain ForeignKey."""

    forward_related_accessor_class = UserAccessor

    def deconstruct(self) -> Any:
        """A plain foreign key, so that migrations depend on nothing of this module."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.ForeignKey", args, {**kwargs, "on_delete": models.DO_NOTHING}

    def elsewhere(self, alias: str | None) -> str | None:
        """The database to read users from, if it is another than that of the rows; else None."""
        if alias is None or users_of(self.model, alias) == alias:
            return None
        return router.db_for_read(get_user_model())

    def validate(self, value: Any, model_instance: Any) -> None:
        """Django's validation, in the database of the row's users."""
        is_elsewhere = model_instance is not None and self.elsewhere(model_instance._state.db) is not None
        # Django uses the row only to find its database.
        super().validate(value, None if is_elsewhere else model_instance)
