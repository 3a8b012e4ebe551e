"""Point-in-time features in plain SQL (DuckDB), from docs/semantics.md alone, and their comparison with plumb's.

Nothing here knows tiles or states: every row is joined with all events before it, and every feature is one SQL
aggregate over those that its window sees.
"""

import json
import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND

# Name: (length, hop) in microseconds.
SLIDING = {
    "10m": (10 * MINUTE, MINUTE),
    "1h": (HOUR, 5 * MINUTE),
    "24h": (24 * HOUR, HOUR),
    "36h": (36 * HOUR, 10 * MINUTE),
    "7d": (7 * DAY, HOUR),
    "30d": (30 * DAY, DAY),
}
CALENDAR = {"today": "day", "this_week": "week", "this_month": "month"}
SESSION = "session_30m"
SESSION_GAP = 30 * MINUTE

# Sums of n positive doubles in any two orders differ by at most n * 2^-53 of their size each: 1e-11 for the
# 89,187 events here. Decays also raise to powers, and variances cancel some digits.
RELATIVE = 1e-9
# A sample variance of nearly equal values may cancel to nothing.
ABSOLUTE = 1e-9


@dataclass
class Feature:
    name: str
    aggregate: str
    windows: list
    value: str | None = None
    where: str = "true"
    zone: str = "Asia/Shanghai"
    default: object = None
    k: int = 0
    q: float = 0
    half_life: int = 0
    buckets: list = field(default_factory=list)


def window_begin(window, zone):
    """SQL for the first microsecond that a window sees at r.t."""
    if window == "lifetime":
        return "-9223372036854775808"
    if window == SESSION:
        return f"case when r.t - r.last_ts <= {SESSION_GAP} then r.session_begin else 9223372036854775807 end"
    if window in CALENDAR:
        local = f"timezone('{zone}', make_timestamptz(r.t))"
        return f"epoch_us(timezone('{zone}', date_trunc('{CALENDAR[window]}', {local})))"
    length, hop = SLIDING[window]
    # Times here are after 1970, where integer division rounds down.
    return f"((r.t - {length}) // {hop}) * {hop}"


def aggregate_sql(f):
    """SQL over the events `ts, o (their order), <fields>` of a row at time t."""
    value, where = f.value, f.where
    some = f"filter (where ({where}) and ({value}) is not null)"
    number = f"({value})::double"
    match f.aggregate:
        case "count":
            return f"count(*) filter (where {where})" if value is None else f"count(*) {some}"
        case "sum" | "min" | "max":
            return f"{f.aggregate}({value}) {some}"
        case "mean":
            return f"sum({value}) {some} / count(*) {some}"
        case "variance":
            return f"var_samp({number}) {some}"
        case "stddev":
            return f"stddev_samp({number}) {some}"
        case "first":
            return f"(list({value} order by o) {some})[1]"
        case "last":
            return f"(list({value} order by o desc) {some})[1]"
        case "first_k":
            return f"(list({value} order by o) {some})[1:{f.k}]"
        case "last_k":
            return f"list_reverse((list({value} order by o desc) {some})[1:{f.k}])"
        case "count_distinct":
            return f"count(distinct {value}) {some}"
        case "approx_quantile":
            rank = f"cast(floor({f.q} * (count(*) {some} - 1)) as bigint)"
            return f"(list({number} order by {number}) {some})[{rank} + 1]"
        case "histogram":
            counts = [f"count(*) filter (where ({where}) and ({c}))" for c in bucket_conditions(f)]
            return f"case when count(*) {some} > 0 then [{', '.join(counts)}] end"
        case "decayed_sum" | "decayed_count":
            decayed = f"{'1.0' if value is None else value} * pow(0.5, (t - ts) / {f.half_life}.0)"
            chosen = f"filter (where {where})" if value is None else some
            return f"sum({decayed}) {chosen}"
        case "seconds_since_last":
            return f"(any_value(t) - max(ts) filter (where {where})) / 1000000.0"
    raise ValueError(f.aggregate)


def bucket_conditions(f):
    edges = f.buckets
    if isinstance(edges[0], str):
        return [f"{f.value} = '{e}'" for e in edges] + [
            f"{f.value} not in ({', '.join(repr(e) for e in edges)})"
        ]
    inner = [f"{f.value} >= {a} and {f.value} < {b}" for a, b in zip(edges, edges[1:])]
    return [f"{f.value} < {edges[0]}", *inner, f"{f.value} >= {edges[-1]}"]


def rfc3339(microseconds):
    """As plumb writes times: no fraction, or 3 or 6 digits of it."""
    time = datetime.fromtimestamp(0, timezone.utc) + timedelta(microseconds=microseconds)
    digits = "seconds" if time.microsecond == 0 else "microseconds" if microseconds % 1000 else "milliseconds"
    return time.isoformat(timespec=digits).replace("+00:00", "Z")


class Oracle:
    """`events`: a table with ts (microseconds), n (place in the log) and the fields."""

    def __init__(self, connection, features, derived):
        self.db = connection
        self.features = features
        self.derived = derived  # name: function of a row's other features

    def expected(self, rows, entity, view_filter="true", sees="<"):
        """Columns of features by name, in the order of `rows` (row, t and the entity columns).

        `sees` is < for training rows and <= for features at a time.
        """
        columns = ", ".join(entity)
        match = " and ".join(f"e.{c} = r.{c}" for c in entity)
        self.db.execute(f"""
            create or replace temp table e as
            with ordered as (
              select *, row_number() over (order by ts, n) as o,
                ts - lag(ts) over (partition by {columns} order by ts, n) > {SESSION_GAP} as breaks
              from events where {view_filter}
            ), numbered as (
              select *, count(*) filter (where breaks) over (partition by {columns} order by o) as session
              from ordered
            )
            select * exclude (breaks, session), min(ts) over (partition by {columns}, session) as session_begin
            from numbered""")
        self.db.execute(f"""
            create or replace temp table r as
            select r.*, last_ts, s.session_begin from {rows} r left join (
              select r.row, max(e.ts) as last_ts, arg_max(e.session_begin, e.o) as session_begin
              from {rows} r join e on {match} and e.ts {sees} r.t group by r.row) s using (row)""")
        self.db.execute(
            f"create or replace temp table j as select r.row, r.t, r.last_ts, r.session_begin as begun, e.* "
            f"exclude (session_begin) from r join e on {match} and e.ts {sees} r.t")
        result = {}
        for window, zone, features in self.by_window():
            self.db.execute(
                f"create or replace temp view w as select j.* from j join "
                f"(select r.row, {window_begin(window, zone)} as begin from r) b using (row) where j.ts >= b.begin")
            self.collect(result, window, features)
        for name, derive in self.derived.items():
            result[name] = derive(result)
        return result

    def by_window(self):
        groups = {}
        for f in self.features:
            for window in f.windows:
                zone = f.zone if window in CALENDAR else ""
                groups.setdefault((window, zone), []).append(f)
        return [(window, zone, features) for (window, zone), features in groups.items()]

    def collect(self, result, window, features):
        plain = [f for f in features if f.aggregate != "top_k"]
        select = ", ".join(f"{aggregate_sql(f)} as {f.name}" for f in plain)
        joined = self.db.execute(
            f"select {', '.join(f.name for f in plain)} from r left join "
            f"(select row, {select} from w group by row) using (row) order by r.row").fetchall()
        for index, f in enumerate(plain):
            nothing = 0 if f.aggregate in ("count", "count_distinct") else f.default
            text = rfc3339 if f.value == "ts" else lambda value: value
            result[f"{f.name}_{window}"] = [nothing if v[index] is None else text(v[index]) for v in joined]
        for f in features:
            if f.aggregate == "top_k":
                result[f"{f.name}_{window}"] = self.top(f)

    def top(self, f):
        distinct, = self.db.execute(
            f"select max(d) from (select count(distinct {f.value}) d from w group by row)").fetchone()
        # Only up to that many are the counts exact.
        assert (distinct or 0) <= max(64, 4 * f.k), f"{f.name}: {distinct} distinct values"
        return [v for v, in self.db.execute(f"""
            select top from r left join (
              select row, list(v order by c desc, v)[1:{f.k}] as top from (
                select row, {f.value} as v, count(*) as c from w where ({f.where}) and {f.value} is not null
                group by row, v) group by row) using (row) order by r.row""").fetchall()]


class Comparison:
    """Counts what was compared and keeps the first differences."""

    def __init__(self, features):
        self.kinds = {f"{f.name}_{w}": f.aggregate for f in features for w in f.windows}
        self.values = 0
        self.non_null = 0
        self.sketched = 0
        self.differences = []

    def compare(self, name, row, got, want):
        self.values += 1
        self.non_null += want is not None
        if not self.agrees(self.kinds.get(name, "derive"), got, want):
            self.differences.append(f"{name}, row {row}: plumb {got!r}, SQL {want!r}")

    def agrees(self, kind, got, want):
        if type(got) is not type(want):
            return False
        if kind == "approx_quantile" and want is not None:
            return abs(got - want) <= abs(want) / 256
        if kind == "count_distinct" and want > 128:
            # Beyond, HyperLogLog with a standard error of 1.6 %: six of them.
            self.sketched += 1
            return abs(got - want) <= want * 6 * 0.016
        if kind in ("min", "max", "first", "last", "seconds_since_last"):
            return got == want
        if isinstance(want, float):
            return math.isclose(got, want, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
        return got == want


def check(oracle, title, path, rows, entity, prefix="", kept=(), **options):
    """Compares plumb's rows in a file, without the columns `kept`, with the expected ones; gives the differences."""
    expected = oracle.expected(rows, entity, **options)
    keys = oracle.db.execute(f"select {', '.join(entity)} from {rows} order by row").fetchall()
    comparison = Comparison(oracle.features)
    with open(path, encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    if [tuple(row[c] for c in entity) for row in found] != keys:
        comparison.differences.append(f"plumb has {len(found)} rows, SQL {len(keys)} or others, or in another order")
    names = {c[len(prefix):] for c in (found[0] if found else {}) if c.startswith(prefix) and c not in kept}
    if names != set(expected):
        comparison.differences.append(f"only one has the features {sorted(names ^ set(expected))}")
    for name in names & set(expected):
        for index, (row, want) in enumerate(zip(found, expected[name])):
            comparison.compare(name, index + 1, row[prefix + name], want)
    print(
        f"{title}: {len(found)} rows x {len(names)} features = {comparison.values} values "
        f"({comparison.non_null} not null, {comparison.sketched} from a sketch), "
        f"{len(comparison.differences)} differ", flush=True)
    for difference in comparison.differences[:5]:
        print(f"  {difference}")
    return comparison.differences
