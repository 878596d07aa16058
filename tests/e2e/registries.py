"""Servers to pull from, on loopback ports: Debian's docker-registry and nginx, and a proxy that does what goes wrong."""

import contextlib
import pathlib
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import harness


#: A user, as a registry asks for him, and as its file of users has him (bcrypt).
USER = "me:pass-word-7"
USER_LINE = "me:$2b$04$eMq6.6745m4WEvFrxs6xHeEGWgR0/.c5DkggL1SURn9CjgLekxADa\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2).read()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@contextlib.contextmanager
def started(command: list[str], port: int, log: pathlib.Path):
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        harness.wait_until(f"{command[0]} answers", lambda: process.poll() is None and answers(port))
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def registry(folder: pathlib.Path, upstream: str = "", asks_who: bool = False):
    """A docker-registry; its host:port. `upstream`: it is a pull-through cache of that one. `asks_who`: only USER may use it."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = [
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}",
        f'http: {{addr: "127.0.0.1:{port}"}}',
    ]
    if upstream:
        config.append(f'proxy: {{remoteurl: "http://{upstream}"}}')
    if asks_who:
        (folder / "users").write_text(USER_LINE)
        config.append(f"auth: {{htpasswd: {{realm: tests, path: {folder}/users}}}}")
    (folder / "config.yml").write_text("\n".join(config) + "\n")
    with started(["docker-registry", "serve", str(folder / "config.yml")], port, folder / "log") as host:
        yield host


@contextlib.contextmanager
def nginx(folder: pathlib.Path, locations: str, tls: bool = False):
    """nginx over `folder`/files with these further directives; its host:port. `tls`: with a certificate that only
    `folder`/cert.pem vouches for."""
    (folder / "files").mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    port = free_port()
    if tls:
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests",
                "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]  # fmt: skip
        subprocess.run(made, check=True, capture_output=True)
        locations += f" ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;"
    (folder / "nginx.conf").write_text(f"""
        daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
        events {{}}
        http {{
            access_log {folder}/access.log;
            client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
            uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
            server {{ listen 127.0.0.1:{port} {'ssl' if tls else ''}; root {folder}/files; {locations} }}
        }}""")
    command = ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", str(folder / "error.log"),
               "-g", "user root;" if pathlib.Path("/").stat().st_uid == 0 and harness.os.getuid() == 0 else ""]  # fmt: skip
    with started(command, port, folder / "log") as host:
        yield host


class FaultProxy:
    """Hands connections on to `target` (host:port) and counts what comes back. Faults are of single connections, in the
    order in which they are made: fault(n) returns None, ("cut", bytes), ("stall", bytes) or ("corrupt", offset)."""

    def __init__(self, target: str, fault=lambda n: None, bytes_per_second: float = 0):
        host, port = target.split(":")
        self.target = (host, int(port))
        self.fault = fault
        self.bytes_per_second = bytes_per_second
        self.sent = 0
        self.connections = 0
        self.open = 0
        self._lock = threading.Lock()
        self._ending = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ending = True
        self._listener.close()

    def _accept(self):
        while not self._ending:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self.open += 1
                n = self.connections
            server = socket.create_connection(self.target)
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._down, args=(client, server, self.fault(n)), daemon=True).start()

    @staticmethod
    def _up(client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                server.sendall(data)
        for one in (client, server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _down(self, client, server, fault):
        done = 0
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 18):
                kind, at = fault or (None, 0)
                if kind == "corrupt" and done <= at < done + len(data):
                    data = bytearray(data)
                    data[at - done] ^= 1
                if kind in ("cut", "stall") and done + len(data) > at:
                    client.sendall(data[: at - done])
                    self._count(at - done)
                    while kind == "stall" and not self._ending and client.fileno() >= 0:
                        time.sleep(0.05)
                    break
                client.sendall(data)
                done += len(data)
                self._count(len(data))
                if self.bytes_per_second:
                    time.sleep(len(data) / self.bytes_per_second)
        for one in (client, server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        with self._lock:
            self.open -= 1

    def _count(self, n):
        with self._lock:
            self.sent += n
