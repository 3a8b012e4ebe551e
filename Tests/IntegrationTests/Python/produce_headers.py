"""Produces events whose fields are headers of their records: BROKERS TOPIC FIRST COUNT.

Each seventh comes twice, and of each tenth the amount is no number.
"""

import json
import sys

from confluent_kafka import Producer


def main(brokers, topic, first, count):
    # Placed as Java's clients place keys.
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
    failures = []
    for index in range(int(first), int(first) + int(count)):
        user = f"u{index % 5}"
        headers = [
            ("traceparent", b"\x00\xff" * 20),
            ("country", b"nowhere"),
            ("country", f"ö{index % 20}".encode()),
            ("amount", b"many" if index % 10 == 7 else str(index).encode()),
            ("request", f"r{index}".encode()),
            ("empty", None),
        ]
        for _ in range(2 if index % 7 == 0 else 1):
            value = json.dumps({"ts": 1_700_000_000_000 + index, "user_id": user, "amount": -1})
            producer.produce(
                topic, value, user, headers=headers, on_delivery=lambda error, _: error and failures.append(error)
            )
    if producer.flush(60) or failures:
        sys.exit(f"not delivered: {failures}")


main(*sys.argv[1:])
