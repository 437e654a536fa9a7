"""The Python client of Sealward's API, on keystoneauth1 sessions.

    from sealward.client import connect
    sealward = connect("http://127.0.0.1:9362", token)
    for sign in sealward.list_signs(is_valid="false"):
        print(sign["server_id"], sealward.show_verdict(sign["server_id"])["reasons"])

In an OpenStack cloud, `Client(session)` finds the endpoint in the catalogue. docs/openstack.md has more.
"""

from sealward.client.client import Client, connect
from sealward.client.errors import RequestRefused, StreamBroken

__all__ = ["Client", "RequestRefused", "StreamBroken", "connect"]
