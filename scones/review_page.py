"""The page of `scones review --page`: an image, what the model thought, and two buttons.

It is for the person at this machine alone: it listens on the loopback address, and its own address
holds a secret, without which nothing is answered. A form is taken only from the page itself: with
the secret, for this host (a name that somebody points here is not it) and from no other origin. It
loads nothing, runs no script, and says so in its policy. An answer counts for the image that was
shown and for no other, so a second click on a button labels nothing twice.
"""

import base64
import hmac
import html
import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from lambdas.serialize_image_data import ImageNotFound
from monitoring.record_preprocessor import CLASSES
from scones.review_queue import Item, Review

_LIMIT = 4096  # bytes of a form
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_STYLE = """
body { font: 1.1rem system-ui, sans-serif; max-width: 30rem; margin: 3rem auto; text-align: center }
img { width: 20rem; image-rendering: pixelated; border: 1px solid #888 }
button { font: inherit; padding: .6rem 1.4rem; margin: 1rem .4rem }
table { margin: 1rem auto } td { padding: 0 .6rem } small { color: #555; word-break: break-all }
"""


class Page:
    """The server of one session; `serve` runs it until it is interrupted."""

    def __init__(self, session: Review) -> None:
        self._session, self._token = session, secrets.token_urlsafe(32)
        self._lock = threading.Lock()  # a browser opens connections beforehand
        self._shown: Item | None = None
        page = self

        class Handler(_Handler):
            owner = page

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def address(self) -> str:
        """With the secret; whoever has it may label."""
        return f"http://{self.host}/{self._token}/"

    def serve(self) -> None:
        """Answers until `stop`, or an interruption."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """Ends `serve` from another thread."""
        self._server.shutdown()

    def is_ours(self, path: str, host: str | None, origin: str | None) -> bool:
        """Whether a request comes from somebody who was given the address."""
        own = hmac.compare_digest(path.encode(), f"/{self._token}/".encode())
        return own and host == self.host and origin in (None, f"http://{self.host}")

    def show(self) -> str:
        """The page of the item that is asked about now."""
        with self._lock:
            if self._shown is None:
                self._shown = self._session.next()
            return _page(self._session, self._shown)

    def answer(self, inference_id: str, answer: str) -> None:
        """Takes an answer, if it is one and is about what is shown."""
        with self._lock:
            item = self._shown
            if item is None or item.inference_id != inference_id:
                return
            if answer in CLASSES:
                self._session.label(item, answer)
            elif answer != "skip":
                return
            self._shown = None

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *error: object) -> None:
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: Page
    timeout = 30  # seconds for a request to come in

    def do_GET(self) -> None:
        if self._is_ours():
            self._send(HTTPStatus.OK, self.owner.show())

    def do_POST(self) -> None:
        if not self._is_ours():
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LIMIT:
            self._send(HTTPStatus.BAD_REQUEST, "This is no answer.")
            return
        form = parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"))
        self.owner.answer(form.get("inference_id", [""])[0], form.get("answer", [""])[0])
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _is_ours(self) -> bool:
        origin = self.headers.get("Origin")
        if self.owner.is_ours(self.path, self.headers.get("Host"), origin):
            return True
        self._send(HTTPStatus.NOT_FOUND, "There is nothing here.")
        return False

    def _send(self, status: HTTPStatus, text: str) -> None:
        body = text.encode("utf-8")
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the address is a secret."""


def _page(session: Review, item: Item | None) -> str:
    if item is None:
        return _framed("<p>Nothing waits for review. Load the page again to look again.</p>")
    try:
        image = session.image(item)
        kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
        source = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
        picture = f'<img alt="what is it?" src="{source}">'
    except ImageNotFound as error:
        picture = f"<p>{html.escape(str(error))}</p>"
    shares = "".join(
        f"<tr><td>{name}</td><td>{share:.3f}</td></tr>"
        for name, share in item.probabilities.items()
    )
    buttons = "".join(
        f'<button name="answer" value="{name}" accesskey="{name[0]}">{name}</button>'
        for name in (*CLASSES, "skip")
    )
    return _framed(
        f'{picture}<table>{shares}</table><form method="post">'
        f'<input type="hidden" name="inference_id" value="{html.escape(item.inference_id)}">'
        f"{buttons}</form><small>{html.escape(item.image_url)}<br>"
        f"{html.escape(item.inference_id)}</small>"
    )


def _framed(body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Scones review</title>'
        f"<style>{_STYLE}</style></head><body><h1>What is it?</h1>{body}</body></html>"
    )
