"""The addresses of a host that has only the API."""

from django.urls import include, path

urlpatterns = [path("api/", include("chat_memory.api.urls"))]
