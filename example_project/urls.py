"""The addresses of the example project."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from example_project import views

CHAT = "chat/<str:workspace>/<uuid:session_id>/"

urlpatterns = [
    path("favicon.ico", RedirectView.as_view(url=static("example_project/icon.svg"))),
    path("", views.home, name="home"),
    path("log-in/", views.LogIn.as_view(), name="log-in"),
    path("log-out/", LogoutView.as_view(), name="log-out"),
    path("chat/<str:workspace>/", views.chat, name="chat-new"),
    path(CHAT, views.chat, name="chat"),
    path(f"{CHAT}answer/", views.answer, name="chat-answer"),
    path(f"{CHAT}edit/", views.edit, name="chat-edit"),
    path(f"{CHAT}stop/", views.stop, name="chat-stop"),
    path(f"{CHAT}switch/", views.switch, name="chat-switch"),
    path("api/", include("chat_memory.api.urls")),
    path("admin/", admin.site.urls),
]
