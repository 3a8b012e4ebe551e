"""The Feast SDK as a client of the feature server, unmodified.

    feast_online_check.py PORT EXPECTED

EXPECTED has the rows of `plumb get --service`, a JSON object a line. Prints a line a problem.
"""
import json
import sys
import tempfile
from datetime import timedelta

from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, RequestSource, ValueType
from feast import errors
from feast.types import Array, Int64, String

port, expected = sys.argv[1:]
rows = [json.loads(line) for line in open(expected)]
problems = []


def expect(is_so, what):
    if not is_so:
        problems.append(what)


folder = tempfile.mkdtemp()
store = FeatureStore(config=RepoConfig(
    project="shop", provider="local", registry=f"{folder}/registry.db", entity_key_serialization_version=3,
    online_store={"type": "remote", "path": f"http://127.0.0.1:{port}"}))
user = Entity(name="user", join_keys=["user"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item"], value_type=ValueType.STRING)


def view(name, entities, columns):
    return FeatureView(
        name=name, entities=entities, ttl=timedelta(days=4000), online=True,
        schema=[Field(name=n, dtype=t) for n, t in columns],
        source=FileSource(path=f"{folder}/none.parquet", timestamp_field="as_of"))


users = view("users", [user], [
    ("user", String), ("events_lifetime", Int64), ("total_lifetime", Int64), ("last_24h", Array(String))])
items = view("items", [item], [
    ("item", String), ("events_lifetime", Int64), ("quantity_lifetime", Int64), ("buyers_lifetime", Array(String))])
pairs = view("pairs", [user, item], [("user", String), ("item", String), ("n_lifetime", Int64)])
service = FeatureService(name="plain", features=[users, items])
store.apply([user, item, users, items, pairs, service])
entity_rows = [{"user": r["user"], "item": r["item"]} for r in rows]

features = [
    "users:events_lifetime", "users:total_lifetime", "users:last_24h", "items:events_lifetime",
    "items:quantity_lifetime", "items:buyers_lifetime", "pairs:n_lifetime",
]
answer = store.get_online_features(features=features, entity_rows=entity_rows, full_feature_names=True).to_dict()
compared = 0
for name in features:
    column = name.replace(":", "__")
    for row, got in zip(rows, answer[column]):
        want = row[column]
        # An empty list can't be sent: the client makes nothing of it.
        want = None if want == [] else want
        expect(got == want, f"{column} of {row['user']}, {row['item']}: {got} is not {want}")
        compared += 1
expect(answer["user"] == [r["user"] for r in rows], f"{answer['user']}")

short = store.get_online_features(
    features=["users:events_lifetime", "pairs:n_lifetime"], entity_rows=entity_rows[:3]).to_dict()
expect(short["n_lifetime"] == [r["pairs__n_lifetime"] for r in rows[:3]], f"{short}")

by_service = store.get_online_features(features=service, entity_rows=entity_rows[:3], full_feature_names=True).to_dict()
expect(by_service["users__total_lifetime"] == [r["users__total_lifetime"] for r in rows[:3]], f"{by_service}")


def raises(kind, features, entity_rows, text):
    try:
        store.get_online_features(features=features, entity_rows=entity_rows)
        problems.append(f"{features} raised nothing")
    except kind as error:
        expect(text in str(error), f"{kind.__name__}: {error}")
    except Exception as error:  # noqa: BLE001
        problems.append(f"{features} raised {type(error).__name__}: {error}")


# What the server refuses, the client raises, with the server's words. The client must believe in the view to ask for it.
gone = view("userz", [user], [("user", String), ("total_lifetime", Int64)])
store.apply([gone])
raises(errors.FeatureViewNotFoundException, ["userz:total_lifetime"], entity_rows[:1], "did you mean 'users'?")

print(f"feast: {compared} values compared, {len(problems)} problems")
for problem in problems[:20]:
    print(problem)
sys.exit(1 if problems else 0)
