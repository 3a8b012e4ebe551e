"""Compares outcomes with rows of `plumb training-set --label` and with a join in SQL.

    outcome_check.py EVENTS ROWS OUTCOMES ID LEFT RIGHT ON

EVENTS, ROWS and OUTCOMES are NDJSON; ID names the field that tells events apart, LEFT and RIGHT are conditions that SQL
has too, ON is fields in common. The horizon is an hour.
"""

import sys

import duckdb

events, rows, outcomes, key, left, right, on = sys.argv[1:]
db = duckdb.connect()
db.execute("set threads = 2; set timezone = 'UTC'")
for name, path in [("raw", events), ("rows", rows), ("outcomes", outcomes)]:
    db.execute(f"create table {name} as from read_json('{path}', format = 'newline_delimited', sample_size = -1)")

unit = "epoch_us(ts)" if db.execute("select typeof(any_value(ts)) from raw").fetchone()[0] != "BIGINT" else (
    "ts * 1000" if db.execute("select max(ts) < 100000000000000 from raw").fetchone()[0] else "ts")
db.execute(f"create table events as select * replace ({unit} as ts) from raw")
equal = " and ".join(f"l.{name} = r.{name}" for name in on.split(","))
db.execute(f"""
    create table expected as
    select l.{key} as id, min(r.ts) as label_time
    from (from events where {left}) l left join (from events where {right}) r
    on {equal} and r.ts > l.ts and r.ts <= l.ts + 3600000000
    group by all
""")
db.execute(f"""
    create table found as
    select {key} as id, count(*) as n, count(distinct revision) as revisions, arg_max(label, revision) as label,
           arg_max(label_time, revision) as label_time
    from (select *, label_time from outcomes) group by all
""")
count, positive = db.execute("select count(*), count(label_time) from expected").fetchone()
wrong = db.execute(f"""
    select e.id, e.label_time, f.label, f.label_time, f.n, r.label
    from expected e full join found f on e.id = f.id full join (select {key} as id, label from rows) r on e.id = r.id
    where (e.label_time is not null) is distinct from f.label or e.label_time is distinct from f.label_time
       or f.n <> f.revisions or (e.label_time is not null)::int is distinct from r.label::int
""").fetchall()
late = db.execute("select count(*) from outcomes where revision > 0").fetchone()[0]
print(f"{count} left events, {positive} of them followed; {late} revised")
for row in wrong[:5]:
    print("differs: id, label_time in SQL, label, label_time, outcomes, label of the row:", row)
if wrong or not 0 < positive < count:
    sys.exit(f"{len(wrong)} differ")
