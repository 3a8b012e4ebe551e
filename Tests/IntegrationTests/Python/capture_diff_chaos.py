"""Captures an SQLite table and two files by comparison while they change and everything is killed, and compares the topics
with what they are in the end.

usage: capture_diff_chaos.py PLUMB SEED SECONDS
PLUMB is the program. Exit status 0 if each topic has its table's rows, and no key has a version twice in a row.
"""

import csv
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import pyarrow
import pyarrow.parquet
from capture_parts import PATIENCE, Process, free_port, start_broker, versions, wait_until

PLUMB, SEED, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
FOLDER = tempfile.mkdtemp(prefix="plumb-diff-", dir="/tmp")
DATABASE = os.path.join(FOLDER, "shop.db")
FILES = {"items": os.path.join(FOLDER, "items.csv"), "stores": os.path.join(FOLDER, "stores.parquet")}

DEFINITIONS = f"""
name: shop
sources:
  users:
    table: true
    topic: shop.users
    key: id
    timestamp: {{ field: _at, unit: us }}
    fields: {{ id: string, age: int64, score: double, bio: string }}
    capture: {{ sqlite: "{DATABASE}", every: 1s }}
  items:
    table: true
    topic: shop.items
    key: id
    timestamp: {{ field: _at, unit: us }}
    fields: {{ id: string, age: int64, score: double, bio: string }}
    capture: {{ file: "{FILES["items"]}", every: 1s }}
  stores:
    table: true
    topic: shop.stores
    key: id
    timestamp: {{ field: _at, unit: us }}
    fields: {{ id: string, age: int64, score: double, bio: string }}
    capture: {{ file: "{FILES["stores"]}", every: 1s }}
views:
  user_profile:
    source: users
    entity: [id]
    features:
      rows: {{ aggregate: count, windows: [lifetime] }}
"""

# More than a transaction of the log takes.
ROWS = 25_000


def connect():
    return sqlite3.connect(DATABASE, timeout=PATIENCE, isolation_level=None)


def make(rng):
    database = connect()
    # Either way a reader sees one moment: beside its writers, or by making them wait.
    database.execute(f"pragma journal_mode = {rng.choice(['wal', 'delete'])}")
    database.execute("create table users (id text primary key, age integer, score real, bio text) without rowid")
    database.executemany(
        "insert into users values (?, ?, ?, ?)", ((f"u{i}", i % 90, i / 7, f'"{i}"\n\\ü') for i in range(ROWS)))


def change_database(isOver):
    rng, database = random.Random(SEED), connect()
    while not isOver.is_set():
        database.execute("begin immediate")
        for _ in range(rng.randrange(1, 200)):
            i, j = rng.randrange(ROWS), rng.randrange(100)
            match rng.randrange(5):
                case 0:
                    database.execute("insert or replace into users values (?, ?, null, 'new')", (f"n{i % 300}", j))
                case 1:
                    database.execute("delete from users where id = ?", (f"n{i % 300}",))
                case 2:
                    database.execute("update users set id = 'm' || id where id = ?", (f"u{i}",))
                case _:
                    database.execute("update users set age = ?, score = ? where id = ?", (j, i / 11, f"u{i}"))
        if rng.random() < 0.02:
            database.execute("update users set age = age + 1")
        database.execute("commit" if rng.random() < 0.9 else "rollback")
        time.sleep(rng.uniform(0, 0.05))


def change_files(isOver):
    """Files are written beside their names, and renamed. Ends with both written."""
    rng = random.Random(SEED + 1)
    rows = {i: [f"i{i}", i % 90, i / 7, "a, \"b\"\nü"] for i in range(2000)}
    while True:
        for _ in range(rng.randrange(1, 50)):
            i = rng.randrange(2500)
            if rng.random() < 0.3:
                rows.pop(i, None)
            else:
                rows[i] = [f"i{i}", rng.randrange(90), rng.choice([None, rng.random()]), "x" * rng.randrange(1, 5)]
        order = list(rows.values())
        rng.shuffle(order)
        with open(FILES["items"] + ".new", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "age", "score", "bio"])
            writer.writerows(order)
        os.rename(FILES["items"] + ".new", FILES["items"])
        columns = dict(zip(["id", "age", "score", "bio"], map(list, zip(*order))))
        pyarrow.parquet.write_table(pyarrow.table(columns), FILES["stores"] + ".new")
        os.rename(FILES["stores"] + ".new", FILES["stores"])
        if isOver.is_set():
            return order
        time.sleep(rng.uniform(0, 0.3))


def ask(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return 0, ""


def probe(port):
    """A database that is gone makes the capture not ready; once it is back, it goes on."""
    wait_until("the capture is ready", lambda: ask(port, "/readyz")[0] == 200)
    metrics = ask(port, "/metrics")[1]
    if 'plumb_capture_interval_seconds{source="users"} 1' not in metrics:
        raise SystemExit(f"the interval is not told: {metrics}")
    os.rename(FILES["items"], FILES["items"] + ".away")
    wait_until("the capture isn't ready", lambda: ask(port, "/readyz")[0] == 503)
    if "source items: " not in ask(port, "/readyz")[1] or ask(port, "/healthz")[0] != 200:
        raise SystemExit(f"without the file the probes say {ask(port, '/readyz')}")
    os.rename(FILES["items"] + ".away", FILES["items"])
    wait_until("the capture is ready again", lambda: ask(port, "/readyz")[0] == 200)


def check(brokers, topic, table):
    """How many changes a topic has; anything but the table's rows, each change once, is an error."""
    found, backwards = versions(brokers, topic)
    rows = {key: values[-1] for key, values in found.items() if values[-1] is not None}
    twice = [key for key, values in found.items() if any(a == b for a, b in zip([None] + values, values))]
    different = [key for key in rows.keys() | table.keys() if rows.get(key) != table.get(key)]
    changes = sum(map(len, found.values()))
    print(f"{topic}: {changes} changes of {len(found)} keys, {len(different)} differ, {len(twice)} twice, {backwards} go back")
    for key in different[:3]:
        print(key, "table", table.get(key), "topic", found.get(key, [])[-3:])
    for key in twice[:3]:
        print(key, "topic", found[key][:9])
    if different or twice or backwards:
        raise SystemExit(f"the topic {topic} is not the table")
    return changes


def main():
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    brokers, port = f"127.0.0.1:{free_port()}", free_port()
    definitions = os.path.join(FOLDER, "shop.yaml")
    with open(definitions, "w") as file:
        file.write(DEFINITIONS)
    make(rng)
    broker = start_broker(PLUMB, brokers, FOLDER)
    capture, threads, is_over, files = None, [], threading.Event(), []
    arguments = [PLUMB, "capture", "-d", definitions, "--brokers", brokers]
    try:
        subprocess.run(
            [PLUMB, "topics", "apply", "-d", definitions, "--brokers", brokers, "--partitions", "2"], check=True,
            stdout=subprocess.DEVNULL)
        threads = [
            threading.Thread(target=lambda: files.append(change_files(is_over))),
            threading.Thread(target=change_database, args=(is_over,))]
        for each in threads:
            each.start()
        wait_until("there are files", lambda: all(map(os.path.exists, FILES.values())))
        capture = Process(arguments + ["--http", f"127.0.0.1:{port}"], os.path.join(FOLDER, "capture.log"))
        kills, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(rng.choice([rng.uniform(0.05, 0.6), rng.uniform(0.5, 3)]))
            if capture.child.poll() is not None:
                raise SystemExit(f"the capture ended by itself: {capture.text()[-2000:]}")
            kills += 1
            victim = broker if rng.random() < 0.2 else capture
            victim.end(signal.SIGKILL)
            victim.start()
        is_over.set()
        for each in threads:
            each.join()
        probe(port)
        if capture.end(signal.SIGTERM) != 0:
            raise SystemExit(f"the capture failed: {capture.text()[-2000:]}")
        for _ in range(2):
            last = subprocess.run(arguments + ["--once"], capture_output=True, text=True, timeout=PATIENCE)
            if last.returncode != 0:
                raise SystemExit(f"the last run failed: {last.stderr}")
        if last.stderr.count(" 0 written") != 3:
            raise SystemExit(f"the last run found something to write: {last.stderr}")
        names = ["id", "age", "score", "bio"]
        users = {row[0]: dict(zip(names, row)) for row in connect().execute("select * from users")}
        others = {row[0]: dict(zip(names, row)) for row in files[0]}
        changes = [
            check(brokers, "shop.users", users), check(brokers, "shop.items", others), check(brokers, "shop.stores", others)]
        print(f"{kills} kills")
        if changes[0] < ROWS + 500 or min(changes[1:]) < 2100:
            raise SystemExit("too little has changed")
    finally:
        is_over.set()
        for process in (capture, broker):
            if process:
                process.end(signal.SIGKILL)
        shutil.rmtree(FOLDER, ignore_errors=True)


main()
