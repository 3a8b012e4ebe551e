"""What the tests of captures under kills share."""

import json
import os
import pwd
import signal
import socket
import subprocess
import time

from confluent_kafka import Consumer, TopicPartition

PATIENCE = 120


def wait_until(what, condition, pause=0.02):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain until {what}")
        time.sleep(pause)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A program that is killed and started again."""

    def __init__(self, arguments, log, **options):
        self.arguments, self.log, self.options = arguments, log, options
        self.start()

    def start(self):
        self.child = subprocess.Popen(
            self.arguments, stdin=subprocess.DEVNULL, stdout=open(self.log, "ab"), stderr=subprocess.STDOUT, **self.options)

    def end(self, number):
        if self.child.poll() is None:
            self.child.send_signal(number)
        return self.child.wait(PATIENCE)

    def text(self):
        with open(self.log, errors="replace") as file:
            return file.read()


class Postgres(Process):
    """PostgreSQL on a socket, as an ordinary user: it refuses root."""

    def __init__(self, programs, folder, settings="wal_level = logical"):
        user = next(name for name in ("postgres", "nobody") if name in [entry.pw_name for entry in pwd.getpwall()])
        user = {"user": user, "extra_groups": []} if os.geteuid() == 0 else {}
        self.programs, self.folder = programs, folder
        data = os.path.join(folder, "postgres")
        os.mkdir(data, 0o700)
        if user:
            os.chown(data, pwd.getpwnam(user["user"]).pw_uid, -1)
        cluster = os.path.join(data, "cluster")
        subprocess.run(
            [f"{programs}/initdb", "-D", cluster, "-A", "trust", "-U", "shop", "--no-sync"], check=True, capture_output=True,
            **user)
        with open(os.path.join(cluster, "postgresql.conf"), "a") as file:
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{folder}'\nfsync = off\n{settings}\n")
        os.chmod(folder, 0o777)
        super().__init__([f"{programs}/postgres", "-D", cluster], os.path.join(folder, "postgres.log"), **user)
        self.wait()

    def wait(self):
        wait_until("PostgreSQL answers", lambda: self.query("select 1", check=False).returncode == 0)

    def query(self, text, check=True):
        return subprocess.run(
            [f"{self.programs}/psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "shop", "postgres", "-c", text],
            capture_output=True, text=True, check=check)

    def restart(self):
        # The postmaster's children notice, and leave the shared memory alone only then.
        self.end(signal.SIGKILL)
        def starts():
            if self.child.poll() is not None:
                self.start()
                time.sleep(0.2)
            return self.child.poll() is None and self.query("select 1", check=False).returncode == 0
        wait_until("PostgreSQL is back", starts)


def start_broker(plumb, brokers, folder):
    broker = Process(
        [plumb, "broker", "--port", brokers.split(":")[1], "--data-dir", os.path.join(folder, "log")],
        os.path.join(folder, "broker.log"))
    wait_until("the broker listens", lambda: "listening" in broker.text())
    return broker


def versions(brokers, topic):
    """Each key's rows in order, None for a deletion; and how often time went back."""
    consumer = Consumer({
        "bootstrap.servers": brokers, "group.id": "audit", "isolation.level": "read_committed", "enable.partition.eof": True,
        "auto.offset.reset": "earliest"})
    partitions = list(consumer.list_topics(topic, PATIENCE).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    keys, latest, backwards, ends = {}, {}, 0, set()
    while len(ends) < len(partitions):
        message = consumer.poll(PATIENCE)
        if message is None:
            raise SystemExit(f"the topic {topic} can't be read")
        if message.error():
            ends.add(message.partition())
            continue
        rows = keys.setdefault(message.key().decode(), [])
        row = message.value() and json.loads(message.value())
        if row is None:
            time_us = message.timestamp()[1] * 1000
        else:
            for field in row.pop("_kept", []):
                row[field] = rows[-1][field]
            time_us = row.pop("_at")
        backwards += time_us < latest.get(message.partition(), 0)
        latest[message.partition()] = time_us
        rows.append(row)
    consumer.close()
    return keys, backwards
