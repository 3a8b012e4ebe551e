"""Feast's SDK, unmodified, with a repository that `plumb feast export` wrote for a running `plumb serve`.

    feast_server_check.py values REPOSITORY EXPECTED    values are those of `plumb get`, an object a line in EXPECTED
    feast_server_check.py errors REPOSITORY PORT        what the server refuses, the SDK raises; PORT asks for tokens
    feast_server_check.py away REPOSITORY               what it raises while the server has no store

Prints a line a problem; exit status 1 if there is any.
"""
import json
import os
import subprocess
import sys
from datetime import datetime, timezone

import pandas
import requests
from feast import FeatureStore, errors
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

what, repository, *rest = sys.argv[1:]
problems = []
KEYS = {"users": ["user"], "items": ["item"], "pairs": ["user", "item"]}


def expect(is_so, what):
    if not is_so:
        problems.append(what)


def seconds(text):
    """A time as Feast has it: whole seconds."""
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() // 1)


def as_feast(name, value):
    """A value of `plumb get` as Feast's client gets it."""
    if value is not None and name in ("at_lifetime", "times_lifetime"):
        return [seconds(v) for v in value] if isinstance(value, list) else seconds(value)
    return value


def plain(value):
    """A value of the SDK: its timestamps come in more than one form."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return int(value.replace(tzinfo=value.tzinfo or timezone.utc).timestamp())
    return value


def same(got, want):
    return got == want and type(got) is type(want)


def values(expected):
    store = applied()
    rows = {view: [] for view in KEYS}
    for line in open(expected):
        row = json.loads(line)
        rows[row["view"]].append(row)
    compared, kinds = 0, {}
    for view, keys in KEYS.items():
        names = [f.name for f in store.get_feature_view(view).features]
        asked = [{k: row[k] for k in keys} for row in rows[view]]
        # All rows at once with short names, and some one by one with full ones.
        short = store.get_online_features(features=[f"{view}:{n}" for n in names], entity_rows=asked).to_dict()
        for index, (row, entity) in enumerate(zip(rows[view], asked)):
            alone = index % 4 == 0 and store.get_online_features(
                features=[f"{view}:{n}" for n in names], entity_rows=[entity], full_feature_names=True).to_dict()
            for key in keys:
                expect(short[key][index] == row[key] and (not alone or alone[key] == [row[key]]), f"{view}: {key} of {row}")
            for name in names:
                want = as_feast(name, row[name])
                for got in [plain(short[name][index])] + ([plain(alone[f"{view}__{name}"][0])] if alone else []):
                    expect(same(got, want), f"{view}:{name} of {entity}: {got!r} is not {want!r}")
                    compared += 1
                kind = "list" if isinstance(want, list) else type(want).__name__
                kinds[kind] = kinds.get(kind, 0) + 1
    # A list that nothing came to, such as that of a window in the past, is null.
    expect(set(kinds) == {"list", "int", "float", "bool", "str", "NoneType"}, f"{kinds}")
    by_service(store, rows)
    one_by_one(store, rows)
    print(f"feast: {compared} values compared, {kinds}")


def by_service(store, rows):
    """All views at once, for entities of both keys; and a service that computes with what the request brings."""
    users = {r["user"]: r for r in rows["users"]}
    items = {r["item"]: r for r in rows["items"]}
    asked = [{"user": r["user"], "item": r["item"]} for r in rows["pairs"]]
    answer = store.get_online_features(
        features=store.get_feature_service("everything"), entity_rows=asked, full_feature_names=True).to_dict()
    for index, pair in enumerate(rows["pairs"]):
        for view, row in (("users", users[pair["user"]]), ("items", items[pair["item"]]), ("pairs", pair)):
            for feature in store.get_feature_view(view).features:
                got, want = plain(answer[f"{view}__{feature.name}"][index]), as_feast(feature.name, row[feature.name])
                expect(same(got, want), f"everything: {view}:{feature.name} of {asked[index]}: {got!r} is not {want!r}")
    known = next(r for r in rows["users"] if r["spend_lifetime"])
    priced = store.get_online_features(
        features=store.get_feature_service("priced"), entity_rows=[{"user": known["user"], "price": 10.0}],
        full_feature_names=True).to_dict()
    expect(priced["users__n_lifetime"] == [known["n_lifetime"]], f"{priced}")
    expect(priced["share"] == [10 / known["spend_lifetime"]], f"{priced} of {known}")


def one_by_one(store, rows):
    """The call that reads a view for keys in Feast's own form, with its types. It sends the first column of a key only."""
    keys = [EntityKey(join_keys=["user"], entity_values=[Value(string_val=r["user"])]) for r in rows["users"]]
    found = store._get_provider().online_read(
        store.config, store.get_feature_view("users"), keys, ["total_lifetime", "at_lifetime", "words_lifetime"])
    for row, (_, got) in zip(rows["users"], found):
        values = (got["total_lifetime"].int64_val, got["at_lifetime"].unix_timestamp_val, list(got["words_lifetime"].string_list_val.val))
        want = (row["total_lifetime"] or 0, as_feast("at_lifetime", row["at_lifetime"]) or 0, row["words_lifetime"])
        # What nobody knows comes without values.
        expect(values in (want, (0, 0, [])), f"online_read: {values} is not {want}")
    known = [got["total_lifetime"].int64_val for _, got in found if got["total_lifetime"].int64_val]
    expect(len(known) > 10, f"online_read: {found}")


def raises(kind, text, call):
    try:
        call()
        problems.append(f"{kind.__name__} was not raised")
    except kind as error:
        expect(type(error) is kind and text in str(error), f"{type(error).__name__}: {error}, not {kind.__name__}: {text}")
    except Exception as error:  # noqa: BLE001
        problems.append(f"{type(error).__name__} instead of {kind.__name__}: {error}")


def errors_of(port):
    store = applied()

    def ask(features, rows, full=False):
        return lambda: store.get_online_features(features=features, entity_rows=rows, full_feature_names=full)
    row = [{"user": "u1", "item": 1}]
    raises(errors.FeatureViewNotFoundException, "did you mean 'users'?", ask(["user:n_lifetime"], row))
    raises(errors.FeatureViewNotFoundException, "did you mean 'spend_lifetime'?", ask(["users:spendlifetime"], row))
    service = store.get_feature_service("everything")
    service.name = "everthing"
    raises(errors.FeatureServiceNotFoundException, "did you mean 'everything'?", ask(service, row))
    raises(errors.EntityNotFoundException, "'user' (string) is missing", ask(["users:n_lifetime"], [{"item": 1}]))
    raises(errors.EntityNotFoundException, "'item' (int64) is missing", ask(["pairs:n_lifetime"], [{"user": "u1"}]))
    raises(errors.RequestDataNotFoundInEntityRowsException, "'price' (double) is missing",
           ask(store.get_feature_service("priced"), row))
    raises(errors.FeatureNameCollisionError, "'n_lifetime'", ask(["users:n_lifetime", "items:n_lifetime"], row))
    raises(errors.FeastError, "is no int64", ask(["items:n_lifetime"], [{"item": "one"}]))
    raises(errors.FeastError, "more than 1000", ask(["users:n_lifetime"], [{"user": "u1"}] * 1001))
    raises(errors.FeastError, "'features' is empty", ask([], row))
    # Features come from the log alone.
    written = pandas.DataFrame({"user": ["u1"], "n_lifetime": [1], "event_timestamp": [datetime.now(timezone.utc)]})
    for name in [f.name for f in store.get_feature_view("users").features if f.name != "n_lifetime"]:
        written[name] = None
    raises(errors.FeastPermissionError, "come from its log",
           lambda: store.write_to_online_store("users", written.rename(columns={"event_timestamp": "committed_at"})))
    # Who has no token may not ask, whoever has one may.
    store.config.online_store.path = f"http://127.0.0.1:{port}"
    raises(errors.FeastPermissionError, "bearer token", ask(["users:n_lifetime"], row))
    settings = open(f"{repository}/feature_store.yaml").read()
    open(f"{repository}/feature_store.yaml", "w").write(
        settings.replace(settings.split("path: ")[1].split("\n")[0], f'"http://127.0.0.1:{port}"')
        + "auth:\n  type: oidc\n  token: feast-0123456789abc\n")
    known = FeatureStore(repo_path=repository)
    open(f"{repository}/feature_store.yaml", "w").write(settings)
    got = known.get_online_features(features=["users:n_lifetime"], entity_rows=row).to_dict()
    expect(got["n_lifetime"][0] > 0, f"{got}")
    print("feast: errors compared")


def away():
    store = FeatureStore(repo_path=repository)
    # The SDK repeats by itself what had a 503, as often as it is told to, and then gives up in its own way.
    store.config.online_store.connection_retries = 1
    raises(requests.exceptions.RetryError, "503", lambda: store.get_online_features(
        features=["users:n_lifetime"], entity_rows=[{"user": "u1"}]))
    print("feast: away")


def applied():
    feast = os.path.join(os.path.dirname(sys.executable), "feast")
    done = subprocess.run([sys.executable, feast, "apply"], cwd=repository, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"feast apply: {done.stdout}{done.stderr}")
    return FeatureStore(repo_path=repository)


{"values": values, "errors": errors_of, "away": away}[what](*rest)
for problem in problems[:20]:
    print(problem)
sys.exit(1 if problems else 0)
