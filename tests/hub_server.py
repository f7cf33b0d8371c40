"""A small web server that speaks the Hub's routes, with every kind of trouble on request."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "a" * 40
TOKEN = "hf_let_me_in"


@dataclass
class Hub:
    """What the server holds and how it behaves; change it while it runs.

    Attributes:
        repos: files by repository and name, all at `COMMIT`.
        plain: files of an ordinary web server, under /plain/.
        gated: repositories that want `TOKEN`.
        wrong: files whose body is not what their headers promise, by name.
        cut: how many of the next downloads are cut in the middle.
        pause_s: before every piece of 4 kB.
        asked: (method, path, headers) of every request.
        made: repositories that were created.
        url: where it listens.
    """

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    plain: dict[str, bytes] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    wrong: dict[str, bytes] = field(default_factory=dict)
    cut: int = 0
    pause_s: float = 0.0
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    made: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def paths(self, method: str = "GET") -> list[str]:
        """Paths of the requests of a kind."""
        return [path for kind, path, _ in self.asked if kind == method]


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._note()
        if not self._allowed(next(iter(self.hub.gated), "")):
            return self._refuse(401, "", "Invalid username or password.")
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            self.hub.made.append(asked)
            name = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
            return self._json({"url": f"{self.hub.url}/{name}"})
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        parts = self.path.split("?")[0].split("/")
        repo, action = f"{parts[3]}/{parts[4]}", parts[5]
        if action == "preupload":
            names = [f["path"] for f in json.loads(body)["files"]]
            return self._json({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        files = self.hub.repos.setdefault(repo, {})
        for line in body.decode().splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        return self._json({"commitUrl": f"{self.hub.url}/{repo}/commit/{COMMIT}", "commitOid": COMMIT})

    def _note(self) -> None:
        self.hub.asked.append((self.command, self.path, dict(self.headers)))

    def _allowed(self, repo: str) -> bool:
        return repo not in self.hub.gated or self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _serve(self) -> None:
        self._note()
        path = self.path.split("?")[0].lstrip("/")
        if path.startswith("plain/"):
            name = path.removeprefix("plain/")
            content = self.hub.plain.get(name)
            return self._refuse(404, "", "no such file") if content is None else self._file(name, content, {})
        if path.startswith("api/models/"):
            return self._info("/".join(path.split("/")[2:4]))
        if path.count("/") < 4:
            return self._refuse(404, "", "no such page")
        user, name, resolve, revision, file = path.split("/", 4)
        repo = f"{user}/{name}"
        if repo not in self.hub.repos or resolve != "resolve":
            return self._refuse(404, "RepoNotFound", "Repository not found")
        if not self._allowed(repo):
            return self._refuse(401, "GatedRepo", "Access to this model is restricted.")
        if revision not in (COMMIT, "main"):
            return self._refuse(404, "RevisionNotFound", "Revision not found")
        if file not in self.hub.repos[repo]:
            return self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": COMMIT})
        content = self.hub.repos[repo][file]
        etag = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        return self._file(file, content, headers | {"ETag": f'"{etag}"'})

    def _info(self, repo: str) -> None:
        if repo not in self.hub.repos:
            return self._refuse(404, "RepoNotFound", "Repository not found")
        siblings = []
        for name, content in self.hub.repos[repo].items():
            sibling: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": "b" * 40}
            if name.endswith(".safetensors"):
                digest = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        return self._json({"_id": "1", "id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "tags": []})

    def _file(self, name: str, content: bytes, headers: dict[str, str]) -> None:
        body = self.hub.wrong.get(name, content)
        start = 0
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes=") and self.command == "GET":
            start = int(asked.removeprefix("bytes=").split("-")[0])
            if start >= len(body):
                self._refuse(416, "", "nothing left")
                return
        self.send_response(206 if start else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        end = len(body)
        if self.hub.cut > 0:
            self.hub.cut -= 1
            end = start + (len(body) - start) // 2
            self.close_connection = True
        for i in range(start, end, 4096):
            time.sleep(self.hub.pause_s)
            self.wfile.write(body[i : min(end, i + 4096)])

    def _json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        body = json.dumps({"error": message}).encode()
        self.send_response(status)
        for key, value in {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})}.items():
            if value:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serving() -> Iterator[Hub]:
    """A running server."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
