"""A hub on this machine: the requests that huggingface_hub makes to share and fetch a model."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

SHA = "a" * 40


@dataclass
class State:
    """The files of repositories, what was asked, and what to do wrong."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sent: int = 0  # bytes of weights
    uploads: dict[str, bytes] = field(default_factory=dict)
    fail: dict[str, int] = field(default_factory=dict)  # path's beginning -> status
    sizes: dict[str, int] = field(default_factory=dict)  # declared
    digests: dict[str, str] = field(default_factory=dict)  # declared
    swapped: dict[str, bytes] = field(default_factory=dict)  # sent in the place of others
    torn: bool = False
    private: bool | None = None
    made: list[dict[str, Any]] = field(default_factory=list)  # repositories, as asked for
    endpoint: str = ""


def entry(state: State, name: str, data: bytes) -> dict[str, Any]:
    digest = state.digests.get(name, hashlib.sha256(data).hexdigest())
    size = state.sizes.get(name, len(data))
    found: dict[str, Any] = {"rfilename": name, "size": size, "blobId": digest[:40]}
    if name.endswith((".safetensors", ".onnx", ".pkl", ".png")):
        found["lfs"] = {"sha256": digest, "size": size, "pointerSize": 100}
    return found


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, *_: Any) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int, value: Any = None, **headers: str) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value or {}).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def failed(self) -> bool:
        self.state.asked.append(f"{self.command} {self.path}")
        for begin, status in self.state.fail.items():
            if self.path.startswith(begin):
                code = {404: "RepoNotFound", 403: "GatedRepo"}.get(status, "")
                self.body()
                self.answer(status, {"error": "no"}, **({"X-Error-Code": code} if code else {}))
                return True
        return False

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.failed():
            return
        path, state = unquote(self.path.partition("?")[0]), self.state
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            if found[1] not in state.repos:
                self.answer(404, {"error": "no"}, X_Error_Code="RepoNotFound")
                return
            siblings = [entry(state, n, d) for n, d in state.repos[found[1]].items()]
            self.answer(200, {"id": found[1], "sha": SHA, "siblings": siblings, "private": False,
                              "tags": [], "downloads": 0, "likes": 0})  # fmt: skip
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/(.+)", path):
            tree = [{"type": "file", "path": n, "size": e["size"], "oid": e["blobId"],
                     **({"lfs": {"oid": e["lfs"]["sha256"], **e["lfs"]}} if "lfs" in e else {})}
                    for n, e in ((n, entry(state, n, d))
                                 for n, d in state.repos[found[1]].items())]  # fmt: skip
            self.answer(200, json.dumps(tree).encode())
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.resolve(found[1], found[3])
        else:
            self.answer(404)

    def resolve(self, repo: str, name: str) -> None:
        data = self.state.repos.get(repo, {}).get(name)
        if data is None:
            self.answer(404, X_Error_Code="EntryNotFound")
            return
        known = entry(self.state, name, data)
        data = self.state.swapped.get(name, data)
        tag = known["lfs"]["sha256"] if "lfs" in known else known["blobId"]
        if self.command == "GET" and name.endswith(".safetensors"):
            self.state.sent += len(data)
        if self.command == "GET" and self.state.torn:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        self.answer(200, data, ETag=f'"{tag}"', X_Repo_Commit=SHA, Accept_Ranges="bytes")

    def do_PUT(self) -> None:
        self.state.asked.append(f"PUT {self.path}")
        self.state.uploads[self.path.rpartition("/")[2]] = self.body()
        self.answer(200)

    def do_POST(self) -> None:
        if self.failed():
            return
        data, path, state = self.body(), self.path.partition("?")[0], self.state
        if path == "/api/repos/create":
            made = json.loads(data)
            state.made.append(made)
            owner = made.get("organization") or "me"
            repo = made["name"] if "/" in made["name"] else f"{owner}/{made['name']}"
            repo = f"spaces/{repo}" if made.get("type") == "space" else repo
            state.repos.setdefault(repo, {})
            state.private = made.get("private", made.get("visibility") == "private")
            self.answer(200, {"url": f"{state.endpoint}/{repo}", "name": repo, "id": repo})
        elif path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        elif found := re.fullmatch(r"/api/(?:models|spaces)/([^/]+/[^/]+)/preupload/(.+)", path):
            names = [file["path"] for file in json.loads(data)["files"]]
            self.answer(200, {"files": [
                {"path": n, "uploadMode": "lfs" if n.endswith((".safetensors", ".onnx", ".png"))
                 else "regular", "shouldIgnore": False} for n in names]})  # fmt: skip
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**o, "actions": {"upload": {"href": f"{state.endpoint}/lfs/{o['oid']}"}}}
                for o in json.loads(data)["objects"]
            ]
            self.answer(200, {"transfer": "basic", "objects": objects})
        elif found := re.fullmatch(r"/api/(models|spaces)/([^/]+/[^/]+)/commit/(.+)", path):
            self.commit(("spaces/" if found[1] == "spaces" else "") + found[2], data)
        else:
            self.answer(404)

    def commit(self, repo: str, data: bytes) -> None:
        import base64

        for line in data.splitlines():
            value = json.loads(line)
            if value["key"] == "file":
                content = base64.b64decode(value["value"]["content"])
                self.state.repos[repo][value["value"]["path"]] = content
            elif value["key"] == "lfsFile":
                content = self.state.uploads[value["value"]["oid"]]
                self.state.repos[repo][value["value"]["path"]] = content
        url = f"{self.state.endpoint}/{repo}/commit/{SHA}"  # of a Space with spaces/ before it
        self.answer(200, {"commitUrl": url, "commitOid": SHA, "success": True})


@contextmanager
def loopback() -> Iterator[State]:
    """A hub in a thread."""
    state = State()
    handler = type("Bound", (Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        state.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
