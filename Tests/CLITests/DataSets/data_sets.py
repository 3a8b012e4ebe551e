"""Compares what plumb has written about each data set's file with what DuckDB computes from that file. Arguments: the folder, then
pairs of a data set and the CSV file that plumb wrote."""

import sys

import duckdb

folder, arguments = sys.argv[1], sys.argv[2:]

# Of each: the events as DuckDB reads them, with `moment` in microseconds, and the columns of an entity. `recent` is the last 24 hours, in
# hops of one hour.
DATA_SETS = {
    "movielens": ("SELECT *, \"timestamp\" * 1000000 AS moment FROM read_csv('{}/movielens.csv')", "userId", """
        count(*) FILTER (recent), count(*), avg(rating), max(rating), arg_max(movieId, moment)"""),
    "rees46": (
        "SELECT *, epoch_us(CAST(replace(event_time, ' UTC', '') AS TIMESTAMP)) AS moment "
        "FROM read_csv('{}/rees46.csv', types={{'event_time': 'VARCHAR'}})", "user_id", """
        count(*) FILTER (recent), count(*), sum(price) FILTER (event_type = 'purchase'), count(brand),
        split_part(arg_max(category_code, moment) FILTER (category_code IS NOT NULL), '.', 1)"""),
    "github": (
        "SELECT *, epoch_us(created_at) AS moment FROM read_json('{}/github.ndjson', columns={{type: 'VARCHAR', actor: "
        "'STRUCT(login VARCHAR)', payload: 'STRUCT(size BIGINT, commits STRUCT(sha VARCHAR)[])', org: 'STRUCT(login VARCHAR)', "
        "created_at: 'TIMESTAMP'}})", "actor.login", """
        count(*) FILTER (recent), count(*), sum(payload.size) FILTER (type = 'PushEvent'),
        arg_max(payload.commits[1].sha, moment) FILTER (payload.commits[1].sha IS NOT NULL), count(org.login)"""),
    "ga4": (
        "SELECT event_name, geo.country AS country, event_timestamp AS moment, unnest(items) AS item FROM read_json('{}/ga4.ndjson', "
        "columns={{event_name: 'VARCHAR', event_timestamp: 'BIGINT', geo: 'STRUCT(country VARCHAR)', items: 'STRUCT(item_id VARCHAR, "
        "price DOUBLE, quantity BIGINT)[]'}})", "item.item_id", """
        count(*) FILTER (recent), count(*), sum(item.quantity) FILTER (event_name = 'purchase'),
        sum(item.price * item.quantity) FILTER (event_name = 'purchase'), arg_max(country, moment)"""),
    "kuairec": (
        "SELECT *, CAST(floor(CAST(\"timestamp\" AS DECIMAL(20, 7)) * 1000000) AS BIGINT) AS moment "
        "FROM read_csv('{}/kuairec.csv', types={{'timestamp': 'VARCHAR', 'play_duration': 'DOUBLE'}}) WHERE \"timestamp\" IS NOT NULL",
        "user_id", """
        count(*) FILTER (recent), count(*), sum(play_duration), max(watch_ratio), count(*) FILTER (watch_ratio > 1)"""),
    "retailrocket": ("SELECT *, \"timestamp\" * 1000 AS moment FROM read_csv('{}/retailrocket.csv')", "visitorid", """
        count(*) FILTER (recent), count(*), count(transactionid), arg_max(transactionid, moment) FILTER (transactionid IS NOT NULL),
        arg_min(itemid, moment)"""),
}

for name, written in zip(arguments[::2], arguments[1::2]):
    events, entity, columns = DATA_SETS[name]
    query = (
        f"WITH events AS ({events.format(folder)}), ends AS (SELECT max(moment) AS t FROM events), "
        "timed AS (SELECT *, moment >= (t - 86400000000) // 3600000000 * 3600000000 AS recent FROM events, ends) "
        f"SELECT {entity}, {columns} FROM timed GROUP BY 1 ORDER BY 1")
    wanted = duckdb.sql(query).fetchall()
    got = duckdb.sql(f"SELECT * FROM read_csv('{written}') ORDER BY 1").fetchall()
    assert len(wanted) > 2, f"{name}: too little to compare"
    assert got == wanted, f"{name}: plumb says\n{got}\nand DuckDB\n{wanted}"
    assert any(row[1] != row[2] for row in wanted), f"{name}: the window sees everything"
    print(f"{name}: {len(wanted)} entities")
assert len(arguments) == 2 * len(DATA_SETS), "not every data set was compared"
