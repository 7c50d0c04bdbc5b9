"""Servers that are configured, not programmed: nchan in nginx, and NATS; and the floor under all of them."""

import dataclasses
from pathlib import Path

from tests.benchmarks.engine import messages
from tests.benchmarks.engine.installation import Unavailable, native, program
from tests.benchmarks.engine.load_client import Client, Publisher
from tests.benchmarks.engine.peers.peer import Place, Serving

NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
NCHAN_PUBLISHERS = 32

NCHAN = """
load_module {module};
worker_processes 1; worker_rlimit_nofile 30000; daemon off; user root;
pid {folder}/nginx.pid; error_log {folder}/nginx.err warn;
events {{ worker_connections 28000; }}
http {{
    access_log off; keepalive_requests 10000000; nchan_shared_memory_size 1024M;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /publish {{
            nchan_publisher; nchan_channel_id $arg_id; nchan_message_buffer_length 10; nchan_message_timeout 5m;
        }}
        location ~ ^/subscribe/(\\d+)$ {{
            nchan_subscriber websocket eventsource; nchan_channel_id $1; nchan_subscriber_first_message newest;
            nchan_message_buffer_length 10; nchan_message_timeout 5m;
        }}
    }}
}}
"""

NATS = """
host: 127.0.0.1
port: {publish_port}
max_connections: 30000
max_pending: 256MB
websocket {{ host: "127.0.0.1", port: {port}, no_tls: true, compression: false }}
"""
NATS_CONNECT = (
    b'CONNECT {"verbose":false,"pedantic":false,"tls_required":false,"lang":"c","version":"1","protocol":1}\r\n'
)


def nchan(place: Place) -> Serving:
    """nginx with nchan: subscribers over WebSocket, publishers over HTTP, messages kept in shared memory."""
    nginx = program("nginx", "nginx-light libnginx-mod-nchan")
    if not NCHAN_MODULE.exists():
        raise Unavailable("nginx has no nchan: apt-get install libnginx-mod-nchan")
    settings = {"module": NCHAN_MODULE, "folder": place.folder, "port": place.port}
    configuration = place.write("nchan.conf", NCHAN.format(**settings))
    request = messages.http_post(
        f"/publish?id={messages.CHANNEL}", messages.payload(), "Accept: text/json", "Connection: keep-alive"
    )
    client = Client(
        path=f"/subscribe/{messages.CHANNEL}", publisher=Publisher("http", place.port, request, NCHAN_PUBLISHERS)
    )
    return Serving(command=[nginx, "-p", place.folder, "-c", configuration], client=client)


def nchan_events(place: Place) -> Serving:
    """The same over Server-Sent Events."""
    serving = nchan(place)
    assert serving.client is not None
    return dataclasses.replace(serving, client=dataclasses.replace(serving.client, events=True))


def nats(place: Place) -> Serving:
    """nats-server: subscribers over its WebSocket listener, one publisher over TCP."""
    server = program("nats-server", "nats-server")
    configuration = place.write("nats.conf", NATS.format(port=place.port, publish_port=place.publish_port))
    payload = messages.payload()
    publish = f"PUB job.{messages.CHANNEL} {len(payload)}\r\n".encode() + payload + b"\r\n"
    subscribe = NATS_CONNECT + f"SUB job.{messages.CHANNEL} 1\r\nPING\r\n".encode()
    client = Client(
        path="/",
        steps=(b"INFO", ("binary", subscribe), b"PONG"),
        streams=True,
        replies=(("binary", b"PING\r\n", b"PONG\r\n"),),
        publisher=Publisher("tcp", place.publish_port, publish, hello=NATS_CONNECT),
    )
    # One processor, as everyone has: Go would otherwise start a thread for each core of the machine.
    return Serving(
        command=[server, "-c", configuration],
        environment={"GOMAXPROCS": "1"},
        client=client,
        ports=[place.publish_port],
    )


def floor(place: Place) -> Serving:
    """`native/floor`: a loop that writes each message to its connections, and nothing else."""
    payload = messages.payload()
    client = Client(
        path=f"/?c={messages.CHANNEL}",
        publisher=Publisher("tcp", place.publish_port, messages.CHANNEL.encode() + b" " + payload),
    )
    command: list[str | Path] = [native("floor"), str(place.port), str(place.publish_port), str(len(payload))]
    return Serving(command=command, client=client, ports=[place.publish_port])
