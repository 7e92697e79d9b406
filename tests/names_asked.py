"""Runs a program in a separate network, where every name is unknown, and prints the names that it tried to resolve.

    unshare --user --map-root-user --net --mount python names_asked.py SECONDS PROGRAM [ARGUMENT ...]

A server is ended with SIGTERM SECONDS after it is ready on port 8080; another program runs to its end. The last
line of the output is a JSON object with `names` and `code`, the program's exit code.
"""

import ctypes
import fcntl
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

_SET_FLAGS = 0x8914  # SIOCSIFFLAGS of <linux/sockios.h>
_UP_AND_RUNNING = 0x41
_BIND = 4096  # MS_BIND of <linux/mount.h>


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))


def resolve_here() -> None:
    """Makes this process and its children ask the name server at 127.0.0.1."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        file.flush()
        if ctypes.CDLL(None, use_errno=True).mount(file.name.encode(), b"/etc/resolv.conf", None, _BIND, None):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def answer_unknown(server: socket.socket, names: set[str]) -> None:
    while True:
        question, sender = server.recvfrom(4096)
        names.add(_name(question))
        no_such_name = question[:2] + b"\x81\x83" + question[4:6] + bytes(6) + question[12:]
        server.sendto(no_such_name, sender)


def _name(question: bytes) -> str:
    labels, place = [], 12
    while length := question[place]:
        labels.append(question[place + 1 : place + 1 + length].decode())
        place += 1 + length
    return ".".join(labels)


def is_ready() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=60)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def main(seconds: float, program: list[str]) -> None:
    loopback_up()
    resolve_here()
    names: set[str] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        threading.Thread(target=answer_unknown, args=(server, names), daemon=True).start()
        running = subprocess.Popen(program, stdout=sys.stderr)
        if "serve" in program:
            while running.poll() is None and not is_ready():
                time.sleep(0.1)
            time.sleep(seconds)
            running.terminate()
        code = running.wait()
        sys.stdout.write(json.dumps({"names": sorted(names), "code": code}) + "\n")
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
