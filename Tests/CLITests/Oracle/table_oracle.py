"""Tables joined in training rows, against DuckDB's ASOF JOIN.

    table_oracle.py DATA make       writes users.ndjson and products.ndjson
    table_oracle.py DATA compare    compares training.ndjson with SQL
"""

import json
import subprocess
import sys

import duckdb

DATA, COMMAND = sys.argv[1:]
DAY = 86_400_000_000
START = 1_454_284_800_000_000  # 2016-02-01


def rows():
    """The rows of both tables, each with later versions: values that change, and nulls that come and go."""
    users = duckdb.read_csv(f"{DATA}/jd/users.csv.zst", all_varchar=True).fetchall()
    for number, (user, age, sex, level, registered) in enumerate(users):
        at = int(registered) * 1000
        for version in range(1 + number % 4):
            yield "users", {
                "user_id": user,
                "age": None if (number + version) % 5 == 4 else age,
                "sex": None if sex in (None, "") or (number + version) % 7 == 6 else int(sex),
                "level": int(level) + version,
                "registered": int(registered),
                "_at": at,
            }
            at = max(at, START) + DAY * (3 + number % 17) + number
    products = duckdb.read_csv(f"{DATA}/jd/products.csv", all_varchar=True).fetchall()
    for number, (sku, a1, _, _, _, brand) in enumerate(products):
        for version in range(number % 3):
            yield "products", {
                "sku_id": sku,
                "a1": int(a1) + version,
                "brand": None if (number + version) % 6 == 5 else brand,
                "_at": START - DAY + version * 20 * DAY + number,
            }


def make():
    files = {name: open(f"{name}.ndjson", "w", encoding="utf-8") for name in ("users", "products")}
    for name, row in sorted(rows(), key=lambda item: item[1]["_at"]):
        files[name].write(json.dumps(row, ensure_ascii=False) + "\n")
    for file in files.values():
        file.close()


SQL = """
WITH spine AS (
  SELECT row_number() OVER () AS row, user_id, sku_id, time * 1000 AS at FROM spine_rows
), counts AS (
  SELECT spine.row, count(e.ts) AS events, count(e.ts) FILTER (e.event_type = 'order') AS orders
  FROM spine LEFT JOIN events e ON e.user_id = spine.user_id AND e.ts * 1000 < spine.at GROUP BY ALL
), changes AS (
  SELECT spine.row, count(u._at) AS changes
  FROM spine LEFT JOIN users u ON u.user_id = spine.user_id AND u._at < spine.at GROUP BY ALL
)
SELECT events, orders, u.age, coalesce(u.sex, -1) AS sex, u.level, u.registered * 1000 AS registered,
  date_diff('day', make_timestamp(u.registered * 1000), make_timestamp(spine.at)) AS account_days, changes,
  p.a1, coalesce(p.brand, 'none') AS brand
FROM spine ASOF LEFT JOIN users u ON spine.user_id = u.user_id AND spine.at > u._at
ASOF LEFT JOIN products p ON spine.sku_id = p.sku_id AND spine.at > p._at
JOIN counts USING (row) JOIN changes USING (row) ORDER BY row
"""

COLUMNS = [
    "activity__events_lifetime", "activity__orders_lifetime", "profile__age", "profile__sex", "profile__level",
    "profile__registered", "profile__account_days", "profile__changes_lifetime", "product__a1", "product__brand",
]


def compare():
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    db.execute(f"""CREATE TABLE spine_rows AS SELECT user_id, sku_id, time::BIGINT AS time
      FROM read_csv('{DATA}/jd/requests.csv.zst', all_varchar = true)""")
    subprocess.run(f"zstd -dqf '{DATA}/jd/events.ndjson.zst' -o events.ndjson", shell=True, check=True)
    db.execute("""CREATE TABLE events AS SELECT * FROM read_json('events.ndjson',
      columns = {ts: 'BIGINT', user_id: 'VARCHAR', event_type: 'VARCHAR'})""")
    db.execute("""CREATE TABLE users AS SELECT * FROM read_json('users.ndjson', columns = {user_id: 'VARCHAR',
      age: 'VARCHAR', sex: 'BIGINT', level: 'BIGINT', registered: 'BIGINT', _at: 'BIGINT'})""")
    db.execute("""CREATE TABLE products AS SELECT * FROM read_json('products.ndjson',
      columns = {sku_id: 'VARCHAR', a1: 'BIGINT', brand: 'VARCHAR', _at: 'BIGINT'})""")
    expected = db.execute(SQL).fetchall()
    with open("training.ndjson", encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    assert len(found) == len(expected) > 10_000, (len(found), len(expected))
    times = {}
    for number, (row, answer) in enumerate(zip(found, expected)):
        for column, value in zip(COLUMNS, answer):
            own = row[column]
            if column == "profile__registered" and own is not None:
                if own not in times:
                    times[own] = db.execute("SELECT epoch_us(?::TIMESTAMPTZ)", [own]).fetchone()[0]
                own = times[own]
            assert own == value, f"row {number}, {column}: {own!r}, expected {value!r}: {row}"
    seen = [len({str(row[column]) for row in found}) for column in COLUMNS]
    assert all(count > 1 for count in seen), seen
    print(f"{len(found)} rows with {len(COLUMNS)} columns are those of the ASOF JOIN")


make() if COMMAND == "make" else compare()
