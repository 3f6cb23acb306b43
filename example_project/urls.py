"""The addresses of the example project."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from example_project import views

urlpatterns = [
    path("favicon.ico", RedirectView.as_view(url=static("example_project/icon.svg"))),
    path("", views.home, name="home"),
    path("log-in/", views.LogIn.as_view(), name="log-in"),
    path("log-out/", LogoutView.as_view(), name="log-out"),
    path("chat/<str:workspace>/", views.chat, name="chat-new"),
    path("chat/<str:workspace>/<uuid:session_id>/", views.chat, name="chat"),
    path("chat/<str:workspace>/<uuid:session_id>/answer/", views.answer, name="chat-answer"),
    path("api/", include("chat_memory.api.urls")),
    path("admin/", admin.site.urls),
]
