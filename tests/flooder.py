"""Floods an exchange as fast as one connection can, until it is ended.

Run: python tests/flooder.py URL EXCHANGE USER BYTES.
"""

from __future__ import annotations

import sys

import pika


def main() -> None:
    """Publish garbage that is signed by nobody."""
    url, exchange, user, size = sys.argv[1:]
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    body, properties = b"x" * int(size), pika.BasicProperties(user_id=user, delivery_mode=2)
    while True:
        channel.basic_publish(exchange, exchange, body, properties)


if __name__ == "__main__":
    main()
