"""Open the app: one page on this machine, ready before the model is loaded."""

from __future__ import annotations

import os
import signal
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.access import lan_check
from perfusion_core.studio.app import Studio
from perfusion_core.studio.library.bundled import welcome
from perfusion_core.studio.readiness import Readiness
from perfusion_core.studio.settings import preferred, read_preferences
from perfusion_core.ui.login import LoginThrottle, credentials
from perfusion_core.ui.request_size import RequestSize
from perfusion_core.ui.security import (
    LOOPBACK,
    SameSite,
    hosted_space,
    hosts_of,
    require_password_outside,
)

if TYPE_CHECKING:
    from perfusion_core.studio.settings import Settings

Auth = tuple[str, str] | Callable[[str, str], bool] | None
EVERYWHERE = "0.0.0.0"
LARGEST_UPLOAD = "25mb"
LONGEST_QUEUE = 64


def launch(
    settings: Settings,
    host: str | None = None,
    port: int = 7860,
    auth: str | None = None,
    browser: bool = True,
    auth_file: str | None = None,
) -> None:
    """Serve the app until Ctrl-C. `auth` is `user:password`, `auth_file` a file with that; else the
    environment is asked (see `login.credentials`). Without `host` this machine is answered, and others as
    well when a name and a password for them were chosen in the app.

    Raises `PerfusionError` for an address open to others without a password, a port that is taken, or a data
    folder another studio works in.
    """
    asked: Auth = credentials(auth, auth_file)
    space = hosted_space()
    kept = lan_check(read_preferences(settings.home)) if asked is None and space is None else None
    if kept is not None and host not in LOOPBACK:
        host, asked = host or EVERYWHERE, kept
    host = host or LOOPBACK[0]
    if space is not None and host in LOOPBACK:
        host = EVERYWHERE  # a Space is reached through its proxy
    require_password_outside(host, asked is not None, hosted=space is not None)
    settings = preferred(replace(settings, outputs=settings.home / "outputs"))
    if threading.current_thread() is threading.main_thread():
        signal.signal(
            signal.SIGTERM, signal.default_int_handler
        )  # a service that is stopped ends as with Ctrl-C
    studio = Studio(settings)
    studio.start()
    welcome(studio.library)
    try:
        readiness = Readiness(studio, lambda line: print(line, flush=True))
        demo = _build(studio, readiness)
        address = _serve(demo, host, port, asked, space)
        readiness.begin()  # after the server: loading torch would delay the first page
        print(f"Perfusion Studio is open at {address}  (Ctrl-C ends it)", flush=True)
        if browser and space is None:
            webbrowser.open(address)
        threading.Event().wait()
    except KeyboardInterrupt:
        print("\nEnding; what is being taught keeps its checkpoint and can be resumed.", flush=True)
    finally:
        studio.close()


def _build(studio: Studio, readiness: Readiness) -> Any:
    """Build the page. Imports gradio, but not torch."""
    from perfusion_core.ui.served import Served

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    served = Served(studio.settings.cache_folder / "served")
    served.prepare()
    from perfusion_core.ui.page import build_page

    return build_page(studio, served, readiness)


def _serve(demo: Any, host: str, port: int, auth: Auth, space: str | None) -> str:
    """Start the server and return its address."""
    from starlette.middleware import Middleware

    from perfusion_core.ui.theme import ASSETS, css, theme

    demo.queue(max_size=LONGEST_QUEUE, api_open=False, default_concurrency_limit=8)
    script = (ASSETS / "studio.js").read_text("utf-8")
    middleware = [
        Middleware(SameSite, hosts=hosts_of(host), public_name=space),
        Middleware(LoginThrottle),
        Middleware(RequestSize),
    ]
    try:
        demo.launch(
            server_name=host,
            server_port=port,
            auth=auth,
            theme=theme(),
            css=css(),
            head=f"<script>{script}</script>",
            favicon_path=ASSETS / "icon.png",
            footer_links=[],
            app_kwargs={"middleware": middleware},
            max_file_size=LARGEST_UPLOAD,
            allowed_paths=[],
            strict_cors=True,
            share=False,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            run_history=False,
            pwa=False,
            show_error=False,
            inbrowser=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise PerfusionError(
            f"Port {port} on {host} cannot be used: another program may have it. Choose another with --port."
        ) from error
    shown = "127.0.0.1" if host in (EVERYWHERE, "::") else host
    return f"http://{shown}:{port}"
