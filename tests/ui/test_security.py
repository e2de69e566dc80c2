"""Nobody outside reaches in."""

from __future__ import annotations

import http.client
import json

import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.ui.security import answer_headers, hosts_of, require_password_outside
from tests.ui.running_app import RunningApp


def test_other_machines_are_let_in_only_with_a_password() -> None:
    require_password_outside("127.0.0.1", False)
    require_password_outside("0.0.0.0", True)
    with pytest.raises(PerfusionError, match="--auth"):
        require_password_outside("0.0.0.0", False)


def test_no_other_page_may_show_this_one_in_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    headers = dict(answer_headers())
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    assert headers[b"x-frame-options"] == b"DENY"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"referrer-policy"] == b"same-origin"


def test_a_space_may_be_shown_in_the_frame_of_its_own_site_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "someone/perfusion-studio")
    headers = dict(answer_headers())
    policy = headers[b"content-security-policy"].decode()
    assert policy.rpartition("frame-ancestors ")[2] == "'self' https://huggingface.co https://*.hf.space"
    assert b"x-frame-options" not in headers  # it cannot name another site


def test_a_name_of_another_site_is_not_this_machine_on_any_address() -> None:
    assert hosts_of("127.0.0.1")("localhost")
    assert not hosts_of("127.0.0.1")("10.0.0.7")
    assert hosts_of("0.0.0.0")("192.168.1.20")
    assert not hosts_of("0.0.0.0")("evil.example")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Host": "evil.example"}, 400),
        ("POST", {"Host": "evil.example:{port}"}, 400),
        ("POST", {"Origin": "https://evil.example"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Origin": "http://127.0.0.1:1"}, 403),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", {}, 200),
    ],
)
def test_foreign_hosts_and_cross_site_requests_are_refused(
    app: RunningApp, method: str, headers: dict[str, str], status: int
) -> None:
    path = "/" if method == "GET" else "/gradio_api/queue/join"
    sent = {key: value.format(port=app.port) for key, value in headers.items()}
    assert _ask(app, method, path, sent)[0] == status


@pytest.mark.browser
def test_the_data_folder_is_not_served(app: RunningApp) -> None:
    entry = next((app.home / "library").glob("*/concept.safetensors"))
    for path in (entry, app.home / "server.log", "/etc/passwd"):
        assert _ask(app, "GET", f"/gradio_api/file={path}", {})[0] in (403, 404)


@pytest.mark.browser
def test_pages_may_load_nothing_from_elsewhere(app: RunningApp) -> None:
    status, headers = _ask(app, "GET", "/", {})
    assert status == 200
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.browser
@pytest.mark.parametrize(
    "path",
    ["queue/join", "run/predict", "api/predict", "call/predict", "call/v2/predict", "cancel", "reset"],
)
def test_a_forged_request_of_10_mb_is_refused_before_it_becomes_a_job(app: RunningApp, path: str) -> None:
    jobs = app.home / "jobs"
    before = sorted(jobs.iterdir()) if jobs.is_dir() else []
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=60)
    body = json.dumps({"data": ["a" * 10_000_000], "fn_index": 0, "session_hash": "forged"}).encode()
    connection.request("POST", f"/gradio_api/{path}", body=body, headers={"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 413
    assert "128 kB" in json.loads(answer.read())["detail"]
    assert (sorted(jobs.iterdir()) if jobs.is_dir() else []) == before


@pytest.mark.browser
@pytest.mark.parametrize("path", ["run", "api", "call"])
def test_no_event_can_be_called_by_a_name(app: RunningApp, path: str) -> None:
    for name in ("create", "teach", "save", "take", "predict", "lambda"):
        assert _ask(app, "POST", f"/gradio_api/{path}/{name}", {})[0] in (404, 422), name


def _ask(app: RunningApp, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    body = json.dumps({}).encode() if method == "POST" else None
    connection.request(method, path, body=body, headers={"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    answer.read()
    return answer.status, {key.lower(): value for key, value in answer.getheaders()}
