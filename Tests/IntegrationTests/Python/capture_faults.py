"""What a capture of a PostgreSQL table says and does where something is missing, lost or too large, one thing after the other.

usage: capture_faults.py PLUMB BIN
PLUMB is the program, BIN the folder of PostgreSQL's programs. Exit status 0 if each is as docs/operations.md says.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from confluent_kafka import Consumer, TopicPartition

from capture_parts import PATIENCE, Postgres, Process, free_port, start_broker, versions, wait_until

PLUMB, BIN = sys.argv[1:3]
FOLDER = tempfile.mkdtemp(prefix="plumb-capture-", dir="/tmp")
LOAD = 100_000
DEFINITIONS = """
name: shop
sources:
  users:
    table: true
    topic: TOPIC
    key: user_id
    timestamp: { field: _at, unit: us }
    fields: { user_id: string, age: int64 }
    capture: { postgres: "${USERS_DB}", table: public.users }
views:
  users:
    source: users
    entity: user_id
    features: { age: { column: age } }
"""


class Site:
    def __init__(self):
        self.brokers = f"127.0.0.1:{free_port()}"
        self.broker = start_broker(PLUMB, self.brokers, FOLDER)
        # Kept: a new one takes longer to ask than some loads to end.
        self.look = Consumer({"bootstrap.servers": self.brokers, "group.id": "look"})
        self.postgres = Postgres(BIN, FOLDER, "wal_level = replica\nmax_slot_wal_keep_size = 32MB\nmin_wal_size = 32MB\nmax_wal_size = 64MB")
        self.topic = "shop.users"
        self.define()

    def define(self, topic="shop.users", change=lambda text: text):
        """Writes the definitions, and makes their topics."""
        self.topic = topic
        with open(f"{FOLDER}/shop.yaml", "w") as file:
            file.write(change(DEFINITIONS.replace("TOPIC", topic)))
        subprocess.run(
            [PLUMB, "topics", "apply", "-d", f"{FOLDER}/shop.yaml", "--brokers", self.brokers, "--partitions", "2"], check=True,
            stdout=subprocess.DEVNULL)

    @property
    def arguments(self):
        return [PLUMB, "capture", "-d", f"{FOLDER}/shop.yaml", "--brokers", self.brokers]

    @staticmethod
    def environment(user="shop"):
        return dict(os.environ, USERS_DB=f"host={FOLDER} user={user} dbname=postgres")

    def capture(self, user="shop"):
        """A run to the end: its status and what it says."""
        result = subprocess.run(
            self.arguments + ["--once"], env=self.environment(user), capture_output=True, text=True, timeout=PATIENCE)
        return result.returncode, result.stderr

    def captured(self):
        status, text = self.capture()
        expect("a capture", status == 0, text)
        return text

    def refused(self, what, *parts, user="shop"):
        status, text = self.capture(user)
        expect(what, status == 1 and all(part in text for part in parts), f"{status}: {text}")

    def start(self, log):
        return Process(self.arguments, f"{FOLDER}/{log}", env=self.environment())

    def check(self, what, changes=None):
        """The topic is the table, and has so many records."""
        found, backwards = versions(self.brokers, self.topic)
        rows = {key: values[-1] for key, values in found.items() if values[-1] is not None}
        table = {row["user_id"]: row for row in map(json.loads, self.postgres.query(
            "select json_build_object('user_id', user_id, 'age', age) from users").stdout.splitlines())}
        count = sum(map(len, found.values()))
        expect(what, rows == table and not backwards, f"{len(rows)} rows for {len(table)}, {backwards} go back")
        expect(f"{what}: {changes} changes", changes in (None, count), f"{count}")


def expect(what, holds, found=""):
    if not holds:
        raise SystemExit(f"{what}: {found}")


def missing(site):
    """What replication needs is named with the statement to run."""
    query = site.postgres.query
    query("create table users (user_id text, age int)")
    site.refused("a wrong wal_level", "wal_level 'replica'", "ALTER SYSTEM SET wal_level = logical")
    query("alter system set wal_level = logical")
    site.postgres.end(signal.SIGINT)
    site.postgres.start()
    site.postgres.wait()
    query("create role small login; grant select on users to small")
    site.refused("a role without rights", "small may not replicate", "ALTER ROLE small REPLICATION", user="small")
    site.refused("a table without a key", "nothing makes it unique", 'ADD PRIMARY KEY ("user_id")')
    query("alter table users add constraint u unique (user_id)")
    site.refused("a key that may be null", 'ALTER COLUMN "user_id" SET NOT NULL')
    query("alter table users alter column user_id set not null")
    site.refused("changes that don't name the key", "REPLICA IDENTITY FULL")
    query("alter table users drop constraint u; alter table users add primary key (user_id)")
    query("alter role small replication")
    site.refused("a publication of others' table", "have the owner of public.users run \"CREATE PUBLICATION", user="small")
    query("alter table users add tags text[], add worth numeric")
    site.define(change=lambda text: text.replace("age: int64", "age: int64, tags: string"))
    site.refused("a type that doesn't fit", "column 'tags': a text[] is no string", "tags::text")
    site.define(change=lambda text: text.replace("age: int64", "age: int64, worth: int64"))
    query("insert into users values ('u', 1, null, 1.5)")
    site.refused("a value that doesn't fit", "column 'worth': '1.5' is not a whole number", "worth::bigint")
    query("truncate users; alter table users drop tags, drop worth")
    site.define()


def kill_while(site, log, what, begun):
    """Kills a capture when something has begun, and lets another end it."""
    capture = site.start(log)
    wait_until(what, lambda: begun() or capture.child.poll() is not None, pause=0.001)
    capture.end(signal.SIGKILL)


def written(site):
    """Records in the topic, those of open transactions included."""
    marks = [site.look.get_watermark_offsets(TopicPartition(site.topic, partition), PATIENCE) for partition in range(2)]
    return sum(high - low for low, high in marks)


def loads(site):
    """A first copy, and one transaction of many rows, each killed in the middle: every row once."""
    query = site.postgres.query
    query(f"insert into users select 'u' || i, i from generate_series(1, {3 * LOAD}) i")
    kill_while(site, "copy.log", "the copy has begun", lambda: written(site) > 0)
    text = site.captured()
    expect("a killed copy is found by comparing", "records before" in text, text)
    site.check("a killed copy", 3 * LOAD)
    query(f"insert into users select 'v' || i, i from generate_series(1, {LOAD}) i")
    before = written(site)
    kill_while(site, "load.log", "the load comes in", lambda: written(site) > before)
    site.captured()
    site.check("a killed load", 4 * LOAD)


def columns(site):
    """Added columns are ignored until they are declared, and one that is gone ends the capture."""
    query = site.postgres.query
    query("alter table users add tier text default 'free'; update users set tier = 'gold', age = -1 where user_id = 'u1'")
    site.captured()
    site.check("an added column", 4 * LOAD + 1)
    query("update users set age = -2 where user_id = 'u1'; alter table users rename age to years")
    site.refused("a column that is gone", "has no column 'age'", "it has")
    query("alter table users rename years to age")
    site.captured()
    site.check("the column is back", 4 * LOAD + 2)


def idle(site):
    """A table that nobody changes doesn't hold up the log of a busy database."""
    query = site.postgres.query
    query("create table busy (content text)")
    capture = site.start("idle.log")
    wait_until("changes are followed", lambda: "following" in capture.text())
    query("insert into busy select repeat('x', 1000) from generate_series(1, 5000)")
    reached = query("select pg_current_wal_lsn()").stdout.strip()
    wait_until("the slot lets the log go", lambda: query(
        f"select confirmed_flush_lsn >= '{reached}' from pg_replication_slots").stdout.strip() == "t")
    expect("an idle capture ends well", capture.end(signal.SIGTERM) == 0, capture.text())


def lost(site):
    """A slot that PostgreSQL had to give up: what it came to is found by comparing, and said to be all that is known."""
    query = site.postgres.query
    query("update users set age = -3 where user_id = 'u1'; update users set age = -4 where user_id = 'u1'; "
          "delete from users where user_id = 'u2'")
    for _ in range(12):
        query("insert into busy select repeat(md5(random()::text), 250) from generate_series(1, 2000); select pg_switch_wal(); checkpoint")
        if query("select wal_status from pg_replication_slots").stdout.strip() == "lost":
            break
    expect("the slot is lost", query("select wal_status from pg_replication_slots").stdout.strip() == "lost")
    told = site.captured()
    expect("the gap is told", "are lost" in told and "max_slot_wal_keep_size" in told and "not what was in between" in told, told)
    site.check("a lost slot", 4 * LOAD + 4)
    query("update users set age = -5 where user_id = 'u1'")
    site.captured()
    site.check("after a lost slot", 4 * LOAD + 5)


def truncated(site):
    """A truncation ends the capture, or is compared if that is said."""
    site.postgres.query("truncate users; insert into users values ('u1', -5), ('new', 1)")
    site.refused("a truncation", "was truncated", "on_truncate: delete")
    site.define(change=lambda text: text.replace("public.users }", "public.users, on_truncate: delete }"))
    site.captured()
    # All but u1 and u2, which was gone before, are deleted, and one is new.
    site.check("a truncation that is meant", 4 * LOAD + 5 + 4 * LOAD - 2 + 1)


def main():
    os.chmod(FOLDER, 0o755)
    site = None
    try:
        site = Site()
        for step in (missing, loads, columns, idle, lost, truncated):
            step(site)
            print(f"{step.__name__}: as said")
    finally:
        for process in (site.broker, site.postgres) if site else ():
            process.end(signal.SIGKILL)
        shutil.rmtree(FOLDER, ignore_errors=True)


main()
