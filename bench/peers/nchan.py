"""nchan: nginx with a module for publishing and subscribing, in C; Debian's packages.

Traps: without ``Accept: text/event-stream`` it answers 403; its shared memory has a fixed size.
"""

import os
import shutil
from pathlib import Path
from typing import Any, ClassVar, Final

from bench import supplies
from bench.errors import NotMeasured
from bench.machine import streams_per_process
from bench.process import BUILD
from bench.server import Server

MODULES: Final = (Path("/usr/lib/nginx/modules/ngx_nchan_module.so"),)
PACKAGES: Final = ("nginx-light", "libnginx-mod-nchan")
INSTALL_S: Final = 300.0

CONFIGURATION: Final = """
daemon off;
{user}
load_module {module};
worker_processes {processes};
worker_rlimit_nofile {descriptors};
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections {descriptors}; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_requests 100000000; keepalive_timeout 3600;
  nchan_shared_memory_size 512M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /healthz {{ return 200; }}
    location ~ ^/publish/(.+)$ {{
      nchan_publisher; nchan_channel_id $1;
      nchan_message_buffer_length 1000; nchan_message_timeout 10m;
    }}
    location ~ ^/stream/(.+)$ {{
      nchan_subscriber eventsource; nchan_channel_id $1; nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


class Nchan(Server):
    """nginx workers as many as asked for. It keeps messages in memory and resumes by their ids."""

    name: ClassVar[str] = "nchan"
    resumes: ClassVar[bool] = True

    @classmethod
    def needs(cls) -> None:
        """Install Debian's packages where we are root and there is apt."""
        if _module() is None:
            if os.geteuid() != 0 or not shutil.which("apt-get"):
                raise NotMeasured(f"not installed, and this is not root on Debian: {' '.join(PACKAGES)}")
            print(f"Installing {' '.join(PACKAGES)} …", flush=True)
            supplies.run(["apt-get", "update", "-qq"], INSTALL_S)
            # Else the package starts nginx on port 80.
            env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
            supplies.run(
                ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES], INSTALL_S, env=env
            )
        if _module() is None or _nginx() is None:
            raise NotMeasured("Debian's packages have put neither nginx nor its module where we look")

    def launch(self) -> None:
        """Write its configuration and start it."""
        folder = BUILD / "nchan"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "nginx.conf"
        path.write_text(
            CONFIGURATION.format(
                user="user root;" if os.geteuid() == 0 else "",
                module=_module(),
                processes=self.processes,
                descriptors=streams_per_process() + 800,
                folder=folder,
                port=self.port,
            ),
            encoding="utf-8",
        )
        command = [_nginx() or "nginx", "-p", str(folder), "-c", str(path)]
        self.child(command).wait_for(f"http://127.0.0.1:{self.port}/healthz")

    def path(self, topic: str) -> str:
        """Give a channel's stream."""
        return f"/stream/{topic}"

    def sink(self) -> dict[str, Any]:
        """POST to the channel."""
        return {"kind": "http", "port": self.port, "path": "/publish/{topic}"}


def _module() -> Path | None:
    return next((path for path in MODULES if path.exists()), None)


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
