"""Captures a PostgreSQL table while it changes and everything is killed, and compares the topic with what triggers remembered.

usage: capture_chaos.py PLUMB BIN SEED SECONDS
PLUMB is the program, BIN the folder of PostgreSQL's programs. Exit status 0 if the topic has each change once, in order.
"""

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from capture_parts import PATIENCE, Postgres, Process, free_port, start_broker, versions, wait_until

PLUMB, BIN, SEED, SECONDS = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
FOLDER = tempfile.mkdtemp(prefix="plumb-capture-", dir="/tmp")
os.chmod(FOLDER, 0o755)

DEFINITIONS = """
name: shop
sources:
  users:
    table: true
    topic: shop.users
    key: user_id
    timestamp: { field: _at, unit: us }
    fields: { user_id: string, country: string, tier: string, age: int64, score: double, signup: timestamp, bio: string }
    capture: { postgres: "${USERS_DB}", table: public.users }
views:
  user_profile:
    source: users
    entity: [user_id]
    features:
      rows: { aggregate: count, windows: [lifetime] }
"""

SCHEMA = """
create type tier as enum ('free', 'gold');
create table users (user_id text primary key, country text, tier tier, age int, score numeric(12,3), signup timestamptz, bio text);
create table history (id bigserial primary key, user_id text, content json);
create function remember() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' or (tg_op = 'UPDATE' and old.user_id <> new.user_id) then
    insert into history(user_id) values (old.user_id);
  end if;
  if tg_op <> 'DELETE' then
    insert into history(user_id, content) values (new.user_id, json_build_object('user_id', new.user_id, 'country', new.country,
      'tier', new.tier, 'age', new.age, 'score', new.score, 'signup', (extract(epoch from new.signup) * 1000000)::bigint,
      'bio', new.bio));
  end if;
  return null;
end $$;
create trigger remember after insert or update or delete on users for each row execute function remember();
insert into users select 'u' || i, (array['DE', 'FR', 'U"S'])[1 + i % 3], 'free', i % 90, i * 1.5,
  '2026-01-01'::timestamptz + i * interval '1 minute', E'tab\\t, back\\\\slash\\nline' from generate_series(1, 500) i;
"""


def transaction(rng):
    """Some changes, of which some are taken back."""
    statements = []
    for _ in range(rng.randrange(1, 6)):
        i, j = rng.randrange(200), rng.randrange(200)
        statements.append(rng.choice([
            f"insert into users(user_id, country, age) values ('n{i}', 'XX', {j}) on conflict (user_id) do update set age = {j}",
            f"update users set age = {j}, score = {i} / 7.0 where user_id = 'u{1 + i}'",
            f"update users set user_id = 'm{rng.randrange(10**9)}' where user_id = 'n{i}'",
            f"delete from users where user_id = 'n{j}'",
            f"savepoint s; update users set country = 'ZZ' where user_id = 'u{1 + j}'; rollback to s",
            f"update users set bio = (select string_agg(md5(random()::text), '') from generate_series(1, 640)) "
            f"where user_id = 'u{1 + i % 20}'",
            f"update users set age = age + 1 where user_id in ('u{1 + i}', 'u{1 + i % 20}')",
        ]))
    return "begin;" + ";".join(statements) + (";commit;" if rng.random() < 0.85 else ";rollback;")


def session(number, isOver):
    """Sends transactions until it is over; one that a crash cuts off has not happened, or has."""
    rng = random.Random(SEED * 100 + number)
    while not isOver.is_set():
        text = "\n".join(transaction(rng) for _ in range(20))
        subprocess.run(
            [f"{BIN}/psql", "-qX", "-h", FOLDER, "-U", "shop", "postgres"], input=text, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(port, path):
    """What the capture answers: the status, 0 if it doesn't, and the text."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return 0, ""


def metric(port, name):
    for line in ask(port, "/metrics")[1].splitlines():
        if line.startswith(f'{name}{{source="users"}} '):
            return float(line.split(" ")[1])
    # Of what isn't known nothing is true.
    return math.nan


def probe(port, postgres):
    """Readiness and metrics tell of the database while it is there and while it isn't."""
    wait_until("the capture is ready", lambda: ask(port, "/readyz")[0] == 200)
    wait_until("nothing is left to capture", lambda: metric(port, "plumb_capture_lag_seconds") < 2)
    records = metric(port, "plumb_capture_records_total")
    # Who stands still says as little as a table in which nothing happens.
    sender = int(postgres.query("select pid from pg_stat_replication").stdout)
    os.kill(sender, signal.SIGSTOP)
    wait_until("the lag grows while nobody answers", lambda: metric(port, "plumb_capture_lag_seconds") > 2)
    os.kill(sender, signal.SIGCONT)
    wait_until("what was missed is known", lambda: metric(port, "plumb_capture_lag_seconds") < 2)
    postgres.end(signal.SIGKILL)
    wait_until("the capture isn't ready", lambda: ask(port, "/readyz")[0] == 503)
    status, text = ask(port, "/readyz")
    if status != 503 or "source users: " not in text or ask(port, "/healthz")[0] != 200:
        raise SystemExit(f"seed {SEED}: without PostgreSQL the probes say {status} {text}")
    wait_until("the lag grows", lambda: metric(port, "plumb_capture_lag_seconds") > 2)
    postgres.restart()
    wait_until("the capture is ready again", lambda: ask(port, "/readyz")[0] == 200)
    postgres.query("update users set age = age + 1 where user_id = 'u1'")
    wait_until("the change is counted", lambda: metric(port, "plumb_capture_records_total") > records)
    wait_until("the lag is over", lambda: metric(port, "plumb_capture_lag_seconds") < 2)


# The same table by comparison: a view, and a role that may do nothing but read it.
COMPARED = DEFINITIONS.replace("topic: shop.users", "topic: shop.compared").replace(
    "table: public.users", "table: readable_users, mode: diff").replace("${USERS_DB}", "${READER_DB}")


def compare(arguments, environment):
    """One comparison, and what it says."""
    result = subprocess.run(arguments + ["--once"], env=environment, capture_output=True, text=True, timeout=PATIENCE)
    if result.returncode != 0:
        raise SystemExit(f"seed {SEED}: a comparison failed: {result.stderr}")
    return result.stderr


def check_compared(brokers, postgres):
    found, backwards = versions(brokers, "shop.compared")
    rows = {key: values[-1] for key, values in found.items() if values[-1] is not None}
    twice = [key for key, values in found.items() if any(a == b for a, b in zip([None] + values, values))]
    table = {row["user_id"]: row for row in map(json.loads, postgres.query(
        "select json_build_object('user_id', user_id, 'country', country, 'tier', tier, 'age', age, 'score', score, 'signup', "
        "(extract(epoch from signup) * 1000000)::bigint, 'bio', bio) from users").stdout.splitlines())}
    changes = sum(map(len, found.values()))
    print(f"compared: {changes} changes, {len(table)} rows, {len(twice)} twice, {backwards} go back")
    if rows != table or twice or backwards or changes <= len(table):
        raise SystemExit(f"seed {SEED}: the compared topic is not the table")


def main():
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    brokers = f"127.0.0.1:{free_port()}"
    definitions = os.path.join(FOLDER, "shop.yaml")
    with open(definitions, "w") as file:
        file.write(DEFINITIONS)
    broker = start_broker(PLUMB, brokers, FOLDER)
    postgres = Postgres(BIN, FOLDER)
    capture, sessions, is_over = None, [], threading.Event()
    environment = dict(os.environ, USERS_DB=f"host={FOLDER} user=shop dbname=postgres")
    arguments = [PLUMB, "capture", "-d", definitions, "--brokers", brokers]
    try:
        postgres.query(SCHEMA)
        subprocess.run(
            [PLUMB, "topics", "apply", "-d", definitions, "--brokers", brokers, "--partitions", "2"], check=True,
            stdout=subprocess.DEVNULL)
        # Heirs have keys of their own, so that the parent's are not unique.
        postgres.query("create table heirs () inherits (users)")
        refused = subprocess.run(arguments + ["--once"], env=environment, capture_output=True, text=True, timeout=PATIENCE)
        if refused.returncode != 1 or "inherit from it, such as heirs" not in refused.stderr:
            raise SystemExit(f"seed {SEED}: a table with heirs is not refused: {refused.returncode} {refused.stderr}")
        postgres.query("drop table heirs")
        # The first copy is in before anything changes: from then on the topic has what the triggers remember.
        subprocess.run(arguments + ["--once"], check=True, env=environment, stderr=subprocess.DEVNULL)
        sessions = [threading.Thread(target=session, args=(number, is_over)) for number in range(4)]
        for each in sessions:
            each.start()
        port = free_port()
        postgres.query(
            "create role reader login; create view readable_users as select * from users; grant select on readable_users to reader")
        compared = os.path.join(FOLDER, "compared.yaml")
        with open(compared, "w") as file:
            file.write(COMPARED)
        reader = dict(os.environ, READER_DB=f"host={FOLDER} user=reader dbname=postgres")
        comparing = [PLUMB, "capture", "-d", compared, "--brokers", brokers]
        subprocess.run(
            [PLUMB, "topics", "apply", "-d", compared, "--brokers", brokers, "--partitions", "2"], check=True,
            stdout=subprocess.DEVNULL)
        compare(comparing, reader)
        capture = Process(arguments + ["--http", f"127.0.0.1:{port}"], os.path.join(FOLDER, "capture.log"), env=environment)
        kills, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(rng.uniform(0.2, 1.5))
            kills += 1
            match rng.randrange(5):
                case 0:
                    broker.end(signal.SIGKILL)
                    broker.start()
                case 1:
                    postgres.restart()
                case _:
                    capture.end(signal.SIGKILL)
                    capture.start()
        is_over.set()
        for each in sessions:
            each.join()
        if capture.child.poll() is not None:
            raise SystemExit(f"seed {SEED}: the capture ended by itself: {capture.text()[-2000:]}")
        try:
            probe(port, postgres)
        except SystemExit as error:
            raise SystemExit(f"seed {SEED}: {error}: {capture.child.poll()} {ask(port, '/readyz')} {capture.text()[-2000:]}")
        if capture.end(signal.SIGTERM) != 0:
            raise SystemExit(f"seed {SEED}: the capture failed: {capture.text()[-2000:]}")
        last = subprocess.run(arguments + ["--once"], env=environment, capture_output=True, text=True, timeout=PATIENCE)
        if last.returncode != 0:
            raise SystemExit(f"seed {SEED}: the last run failed: {last.stderr}")
        compare(comparing, reader)
        if " 0 written" not in compare(comparing, reader):
            raise SystemExit(f"seed {SEED}: a comparison writes what the topic has")
        check_compared(brokers, postgres)
        found, backwards = versions(brokers, "shop.users")
        expected = {}
        for line in postgres.query("select json_build_array(user_id, content) from history order by id").stdout.splitlines():
            key, content = json.loads(line)
            expected.setdefault(key, []).append(content)
        different = [key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)]
        changes = sum(map(len, found.values()))
        print(f"seed {SEED}: {kills} kills, {changes} changes of {len(found)} keys, {len(different)} differ, {backwards} go back")
        for key in different[:3]:
            print(key, "expected", expected.get(key, [])[-3:], "found", found.get(key, [])[-3:])
        if different or backwards or changes < 1000:
            raise SystemExit(f"seed {SEED}: the topic is not what happened")
    finally:
        is_over.set()
        for process in (capture, broker, postgres):
            if process:
                process.end(signal.SIGKILL)
        shutil.rmtree(FOLDER, ignore_errors=True)


main()
