"""Owns how Ctrl-C ends the demo under tox; it must not change what it does to another environment.

A terminal sends Ctrl-C to tox and to the demo alike. The demo ends by itself, and well; tox would stop it a second time
and report that the evaluation failed.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from tox.plugin import impl

if TYPE_CHECKING:
    from types import FrameType

    from tox.config.sets import CoreConfigSet
    from tox.execute.api import Outcome
    from tox.session.state import State
    from tox.tox_env.api import ToxEnv

ENVIRONMENT = "demo"
_serving = threading.Event()


@impl
def tox_add_core_config(core_conf: CoreConfigSet, state: State) -> None:  # noqa: ARG001  # tox gives them by name
    """Take over the signal: this hook runs early and in the main thread, where alone that is possible."""
    signal.signal(signal.SIGINT, _leave_the_first_to_the_demo)


@impl
def tox_before_run_commands(tox_env: ToxEnv) -> None:
    """From here on the demo listens; what has built the package ends first, since the signal would reach it too."""
    if tox_env.conf.name == ENVIRONMENT:
        for builder in getattr(tox_env, "package_envs", ()):
            builder.teardown_env(tox_env.conf)
        _serving.set()


@impl
def tox_after_run_commands(tox_env: ToxEnv, exit_code: int, outcomes: list[Outcome]) -> None:  # noqa: ARG001
    """It has ended."""
    if tox_env.conf.name == ENVIRONMENT:
        _serving.clear()


def _leave_the_first_to_the_demo(number: int, frame: FrameType | None) -> None:
    """A second Ctrl-C is for tox, in case the demo hangs."""
    if _serving.is_set():
        _serving.clear()
    else:
        signal.default_int_handler(number, frame)
