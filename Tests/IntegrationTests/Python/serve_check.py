"""Asks a feature server, and compares what it answers with what it should.

    serve_check.py CHECK PORT [ARGUMENTS...]

Prints a line a problem; exit status 1 if there is any. Only the standard library is used.
"""
import http.client
import json
import os
import resource
import socket
import ssl
import struct
import sys
import threading
import time

problems = []


def expect(is_so, what):
    if not is_so:
        problems.append(what)


class Client:
    def __init__(self, port, token=None):
        self.port, self.token = port, token
        self.connection = None

    def ask(self, path, body=None, method=None, headers=None):
        """Status, headers and body; over one connection, made anew if it was lost."""
        headers = dict(headers or {})
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        for attempt in (0, 1):
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                self.connection.request(method or ("POST" if body is not None else "GET"), path, body, headers)
                answer = self.connection.getresponse()
                return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            except (http.client.RemoteDisconnected, ConnectionError):
                self.connection = None
                if attempt:
                    raise

    def rank(self, rows, **more):
        status, headers, body = self.ask("/v1/services/ranking", {"rows": rows, "inputs": {"price": 10.0}, **more})
        return status, headers, json.loads(body)


def wait(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    problems.append(f"waited in vain until {what}")
    return False


def values(port, expected):
    """Both APIs against the rows of `plumb get --service`, a JSON object a line."""
    client = Client(port)
    rows = [json.loads(line) for line in open(expected)]
    at = rows[0]["at"]
    names = [n for n in rows[0] if n not in ("service", "version", "at", "user", "item")]
    wanted = [{"user": r["user"], "item": r["item"]} for r in rows]
    status, _, answer = client.rank(wanted, at=at, request_id="r-1")
    expect(status == 200, f"{status} {answer}")
    expect(answer["request_id"] == "r-1" and answer["at"] == at, f"{answer['request_id']} {answer['at']}")
    expect(answer["names"] == names, f"{answer['names']} is not {names}")
    for row, got in zip(rows, answer["rows"]):
        expect(got["values"] == [json.loads(json.dumps(row[n])) for n in names], f"{got} is not {row}")
    seen = {v["status"] for r in answer["rows"] for v in r["views"]}
    # How busy the machine is decides whether some were stale; their values are the same.
    expect("NOT_FOUND" in seen and seen <= {"PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE"}, f"{seen}")
    # The first heartbeat may still be on its way.
    wait("the lag is known", lambda: "plumb-lag-ms" in client.rank(wanted, at=at)[1])
    # As Feast asks, in columns, and with the values of now: of them those that time doesn't change.
    lifetime = [n for n in names if n.endswith("_lifetime")]
    status, _, body = client.ask("/get-online-features", {
        "entities": {"user": [r["user"] for r in rows], "item": [r["item"] for r in rows]},
        "features": [n.replace("__", ":", 1) for n in lifetime], "full_feature_names": True})
    feast = json.loads(body)
    expect(status == 200 and feast["metadata"]["feature_names"] == ["user", "item"] + lifetime, f"{feast}")
    for name, column in zip(lifetime, feast["results"][2:]):
        got = [None if v == [] else v for v in column["values"]]
        want = [None if r[name] == [] else r[name] for r in rows]
        expect(got == want, f"{name}: {got} is not {want}")
    # Rows keep their order, whatever they are asked with.
    for size in (1, 7, len(rows)):
        part = wanted[-size:]
        _, _, again = client.rank(part, at=at)
        expect([r["values"] for r in again["rows"]] == [r["values"] for r in answer["rows"][-size:]], f"{size} rows")


def message(data):
    """The fields of a protobuf message, each with its values: numbers, or bytes."""
    fields, at = {}, 0

    def varint():
        nonlocal at
        number = shift = 0
        while True:
            byte = data[at]
            number |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return number
    while at < len(data):
        tag = varint()
        size = {1: 8, 5: 4}.get(tag & 7)
        if tag & 7 == 0:
            value = varint()
        else:
            size = varint() if size is None else size
            value, at = data[at:at + size], at + size
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def value(data):
    """A Value of plumbline.proto as JSON would have it."""
    for number, (one,) in message(data).items():
        if number in (1, 5):
            return one - (1 << 64) if one >> 63 else one
        return {2: lambda: struct.unpack("<d", one)[0], 3: lambda: bool(one), 4: lambda: one.decode(),
                6: lambda: [value(each) for each in message(one).get(1, [])]}[number]()
    return None


def records(port, expected):
    """The same answer as records: of each row one a view and one of the derived columns, with the same values."""
    client = Client(port)
    rows = [json.loads(line) for line in open(expected)]
    body = json.dumps({"rows": [{"user": r["user"], "item": r["item"]} for r in rows], "at": rows[0]["at"],
                       "inputs": {"price": 10.0}, "request_id": "r-2"})
    status, headers, data = client.ask("/v1/services/ranking", body, headers={"Accept": "application/x-protobuf"})
    expect(status == 200 and headers["content-type"].startswith("application/x-protobuf"), f"{status} {headers}")
    # Records behind their lengths are the values of one field whose tags are left out.
    found, at = [], 0
    while at < len(data):
        size = shift = 0
        while data[at] > 127:
            size, shift, at = size | (data[at] & 127) << shift, shift + 7, at + 1
        size, at = size | data[at] << shift, at + 1
        found.append(message(data[at:at + size]))
        at += size
    expect(len(found) == 4 * len(rows), f"{len(found)} records of {len(rows)} rows")
    for record in found:
        row = rows[record.get(12, [0])[0]]
        view = record.get(2, [b""])[0].decode()
        expect(record[1] == [b"r-2"] and record[11] == [b"ranking"] and record[16] == [4], f"{record}")
        names = sorted(n for n in row if n.startswith(f"{view}__")) if view else ["of_version", "price_per_event"]
        got = [value(each) for each in record.get(10, [])]
        expect([v or None for v in got] == [row[n] or None for n in names], f"{view}: {got} is not {[row[n] for n in names]}")


def damaged(port, user):
    client = Client(port)
    status, _, answer = client.rank([{"user": user, "item": "i1"}, {"user": "u0x", "item": "i1"}])
    expect(status == 200, f"{status} {answer}")
    states = [[view["status"] for view in row["views"]] for row in answer["rows"]]
    expect(states[0][0] == "INVALID" and "INVALID" not in states[0][1:] + states[1], f"{states}")
    values = dict(zip(answer["names"], answer["rows"][0]["values"]))
    expect(all(v is None for n, v in values.items() if n.startswith("users__")), f"{values}")
    metrics = client.ask("/metrics")[2].decode()
    expect("plumb_damaged_states_total 1" in metrics, "the damage is not counted")
    expect(client.ask("/readyz")[0] == 200, "one state is no reason not to be ready")


def mistakes(port):
    client = Client(port)
    row = {"user": "u1", "item": "i1"}
    cases = [
        ("POST", "/v1/services/rankin", {"rows": [row]}, 404, "did you mean 'ranking'?"),
        ("POST", "/v1/services/ranking", "{", 400, "no JSON"),
        ("POST", "/v1/services/ranking", [], 400, "JSON object"),
        ("POST", "/v1/services/ranking", {"row": [row]}, 400, "did you mean 'rows'?"),
        ("POST", "/v1/services/ranking", {"rows": []}, 400, "list of objects"),
        ("POST", "/v1/services/ranking", {"rows": [row]}, 422, "'price' (double) is missing"),
        ("POST", "/v1/services/ranking", {"rows": [{"usr": "u1", "item": "i1", "price": 1}]}, 422, "'user'"),
        ("POST", "/v1/services/ranking", {"rows": [{**row, "price": "x"}]}, 422, "is no double"),
        ("POST", "/v1/services/ranking", {"rows": [{**row, "price": 1, "q": 1}]}, 400, "neither an entity column"),
        ("POST", "/v1/services/ranking", {"rows": [{**row, "price": [1]}]}, 422, "one value"),
        ("POST", "/v1/services/ranking", {"rows": [{**row, "price": 1}, row]}, 400, "not those of row 0"),
        ("POST", "/v1/services/ranking", {"rows": [{**row, "price": 1}] * 1001}, 413, "1001 rows"),
        ("POST", "/v1/services/ranking", {"rows": [{**row, "price": 1, "user": "u" * 5000}]}, 422, "longer than"),
        ("POST", "/v1/services/ranking", {"rows": [{**row, "price": 1}], "at": "yesterday"}, 400, "RFC 3339"),
        ("POST", "/v1/services/ranking", {"rows": [{**row, "price": 1}], "at": "2001-01-01T00:00:00Z"}, 409,
         "a state can't tell its past"),
        ("GET", "/v1/services/ranking", None, 405, "takes POST"),
        ("POST", "/v1/registry", {}, 405, "takes GET"),
        ("GET", "/nothing", None, 404, "openapi"),
        ("POST", "/v1/services/ranking", b"\xff\xfe", 400, "no JSON"),
        ("POST", "/v1/services/ranking", "[" * 100000, 400, "nested too deep"),
    ]
    for method, path, body, status, detail in cases:
        got, headers, answer = client.ask(path, body, method)
        what = f"{method} {path} {str(body)[:80]}: {got} {answer[:200]}"
        expect(got == status and headers["content-type"] == "application/problem+json", what)
        problem = json.loads(answer)
        expect(problem["status"] == status and detail in problem["detail"], what)
    # Two names in one are not the list of both that was asked for before.
    both = ["users:total_lifetime", "users:events_lifetime"]
    status, _, answer = client.ask("/get-online-features", {"entities": {"user": ["u1"]}, "features": both})
    expect(status == 200, f"{both}: {status} {answer}")
    feast = [
        ({"entities": {"user": ["u1"]}, "features": ["\n".join(both)]}, 422, "FeatureViewNotFoundException"),
        ({"entities": {"user": ["u1"]}, "features": ["usres:total_lifetime"]}, 422, "FeatureViewNotFoundException"),
        ({"entities": {"user": ["u1"]}, "features": ["users:totl_lifetime"]}, 422, "FeatureViewNotFoundException"),
        ({"entities": {"user": ["u1"]}, "feature_service": "nope"}, 404, "FeatureServiceNotFoundException"),
        ({"entities": {"usr": ["u1"]}, "features": ["users:total_lifetime"]}, 422, "EntityNotFoundException"),
        ({"entities": {"user": ["u1"], "item": ["i1"]}, "feature_service": "ranking"}, 422,
         "RequestDataNotFoundInEntityRowsException"),
        ({"entities": {"user": ["u1"], "item": ["i1"]},
          "features": ["users:events_lifetime", "items:events_lifetime"]}, 422, "FeatureNameCollisionError"),
        ({"entities": {"user": ["u1", "u2"], "item": ["i1"]}, "features": ["users:total_lifetime"]}, 400, "FeastError"),
        ({"entities": {}, "features": ["users:total_lifetime"]}, 422, "EntityNotFoundException"),
        ({"features": ["users:total_lifetime"]}, 400, "FeastError"),
        ("nonsense", 400, "FeastError"),
    ]
    for body, status, name in feast:
        got, _, answer = client.ask("/get-online-features", body)
        inner = json.loads(json.loads(answer))
        expect(got == status and inner["class"] == name, f"{body}: {got} {inner}")
    for path in ("/push", "/write-to-online-store", "/materialize", "/materialize-incremental"):
        got, _, answer = client.ask(path, {})
        inner = json.loads(json.loads(answer))
        expect(got == 403 and inner["class"] == "FeastPermissionError", f"{path}: {got} {inner}")
    # Nothing has broken it.
    expect(client.rank([row])[0] == 200, "it doesn't answer any more")


def documents(port):
    client = Client(port)
    for path in ("/openapi.json", "/v1/registry", "/metrics", "/healthz", "/readyz", "/health"):
        status, headers, body = client.ask(path)
        expect(status == 200 and len(body) > 2, f"{path}: {status}")
        head = client.ask(path, method="HEAD")
        expect(head[0] == 200 and head[2] == b"" and int(head[1]["content-length"]) > 2, f"HEAD {path}: {head}")
    registry = json.loads(client.ask("/v1/registry")[2])
    version = registry["versions"][0]
    expect([s["name"] for s in version["sources"]] == ["clicks"], f"{registry}")
    users = version["views"][0]
    expect(users["owner"] == "growth" and users["tags"] == {"tier": "1"}, f"{users}")
    expect(users["features"][0]["columns"] == ["events_1h", "events_lifetime"], f"{users}")
    expect(version["services"][0]["columns"][-1]["derive"].startswith("price"), f"{version['services']}")
    metrics = client.ask("/metrics")[2].decode()
    expect('plumb_request_seconds_count{endpoint="/v1/registry",status="200"}' in metrics, metrics)
    json.loads(client.ask("/openapi.json")[2])


def tokens(port):
    row = [{"user": "u1", "item": "i1"}]
    expect(Client(port).rank(row)[0] == 401, "no token")
    expect(Client(port, "wrong-wrong-wrong").rank(row)[0] == 401, "a wrong token")
    expect(Client(port, "ranking-0123456789").rank(row)[0] == 200, "the scope of the service")
    status, _, body = Client(port, "ranking-0123456789").ask("/metrics")
    expect(status == 403 and b"scope" in body, f"metrics: {status}")
    expect(Client(port, "metrics-0123456789").ask("/metrics")[0] == 200, "the scope of metrics")
    expect(Client(port, "metrics-0123456789").rank(row)[0] == 403, "metrics read features")
    status, _, body = Client(port, "metrics-0123456789").ask(
        "/get-online-features", {"entities": {"user": ["u1"]}, "features": ["users:total_lifetime"]})
    expect(status == 403 and json.loads(json.loads(body))["class"] == "FeastPermissionError", f"{status} {body}")
    expect(Client(port).ask("/healthz")[0] == 200 and Client(port).ask("/readyz")[0] == 200, "probes need no token")


def renewed(port):
    """Of the tokens that the file had before, none holds."""
    row = [{"user": "u1", "item": "i1"}]
    wait("the new token holds", lambda: Client(port, "renewed-0123456789").rank(row)[0] == 200)
    expect(Client(port, "ranking-0123456789").rank(row)[0] == 401, "the old token holds on")


def crowd(port):
    """A thousand clients that say little or nothing, and one that asks."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sockets = []
    for index in range(1000):
        s = socket.create_connection(("127.0.0.1", port))
        if index % 3 == 1:
            s.sendall(b"POST /v1/services/ranking HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"rows\"")
        if index % 3 == 2:
            s.sendall(b"GET /v1/reg")
        sockets.append(s)
    client = Client(port)
    start = time.monotonic()
    for _ in range(200):
        expect(client.rank([{"user": "u1", "item": "i1"}])[0] == 200, "not answered in a crowd")
    print(f"200 requests in a crowd of 1,000 took {time.monotonic() - start:.2f} s")
    # Those that say nothing are closed in time.
    sockets[0].settimeout(30)
    expect(sockets[0].recv(1) == b"", "a silent client was not closed")


def away(port):
    """While Redis doesn't answer: an error that says when to ask again, soon."""
    client = Client(port)
    start = time.monotonic()
    status, headers, answer = client.rank([{"user": "u1", "item": "i1"}])
    expect(status == 503 and headers.get("retry-after") == "1", f"{status} {headers} {answer}")
    expect(time.monotonic() - start < 10, f"it took {time.monotonic() - start} s")
    expect(client.ask("/healthz")[0] == 200, "it should live without Redis")
    wait("it is not ready", lambda: client.ask("/readyz")[0] == 503)


def back(port):
    client = Client(port)
    wait("it answers again", lambda: client.rank([{"user": "u1", "item": "i1"}])[0] == 200)
    wait("it is ready again", lambda: client.ask("/readyz")[0] == 200)


def prompt(port, count):
    """So many requests of one row, each answered, and none held up."""
    client = Client(port)
    for index in range(int(count)):
        start = time.monotonic()
        status, _, answer = client.rank([{"user": f"u{index}", "item": f"i{index}"}])
        took = time.monotonic() - start
        expect(status == 200, f"{status} {answer}")
        expect(took < 3, f"request {index} took {took} s")


def same_values(client, rows):
    """Asks for the rows of `plumb get --service`; the status, and whether the values are theirs."""
    status, _, answer = client.rank([{"user": r["user"], "item": r["item"]} for r in rows], at=rows[0]["at"])
    if status != 200:
        return status, True
    return status, all(got["values"] == [row[n] for n in answer["names"]] for row, got in zip(rows, answer["rows"]))


def steady(port, expected, marker):
    """Asks until the file MARKER is there, and for a moment longer. An answer has the right values, or says when to ask again."""
    import os
    client = Client(port)
    rows = [json.loads(line) for line in open(expected)]
    seen, end = {}, None
    while end is None or time.monotonic() < end:
        status, is_same = same_values(client, rows)
        expect(is_same and status in (200, 503), f"{status}, other values")
        seen[status] = seen.get(status, 0) + 1
        if seen.get(200) == 10:
            open(marker + ".loaded", "w").close()
        if end is None and os.path.exists(marker):
            end = time.monotonic() + 1
    wait("everything is answered again", lambda: same_values(client, rows) == (200, True))
    print(f"answers by status meanwhile: {seen}")


def partly(port, expected, tasks, user_tasks):
    """A node that has so many of the tasks, and so many of the users' three, is away: the other users are answered with
    their values, and these with when to ask again."""
    client = Client(port)
    users = {row["user"]: row["users__total_lifetime"] for row in map(json.loads, open(expected))}
    answered, refused = set(), set()
    for user, total in users.items():
        status, headers, body = client.ask(
            "/get-online-features", {"entities": {"user": [user]}, "features": ["users:total_lifetime"]})
        if status == 200:
            got = json.loads(body)["results"][1]["values"]
            expect(got == [total], f"{user}: {got} is not {total}")
            answered.add(user)
        else:
            expect(status == 503 and headers.get("retry-after") == "1", f"{status} {body}")
            refused.add(user)
    expect(bool(answered) == (user_tasks != "3"), f"answered: {answered} without {user_tasks} of 3 tasks")
    expect(bool(refused) == (user_tasks != "0"), f"refused: {refused} without {user_tasks} of 3 tasks")
    print(f"without {tasks} tasks, {user_tasks} of them users': {len(answered)} answered, {len(refused)} refused")
    if tasks != "0":
        wait("it is not ready", lambda: client.ask("/readyz")[0] == 503)


def bounds(port):
    """A server with narrow bounds."""
    client = Client(port)
    status, _, body = client.ask("/v1/services/ranking", "x" * 2001)
    expect(status == 413 and b"2000 bytes" in body, f"{status} {body}")
    row = {"user": "u1", "item": "i1", "price": 1}
    status, _, body = client.ask("/v1/services/ranking", {"rows": [row] * 4})
    expect(status == 413 and b"more than 3" in body, f"{status} {body}")
    # Whoever says nothing, or half of something, is gone after a second; so is one more than there is room for.
    start = time.monotonic()
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(24)]
    for index, s in enumerate(sockets):
        s.settimeout(30)
        if index % 2:
            s.sendall(b"GET /healthz HTTP/1.1\r\n")
    answers = []
    for s in sockets:
        try:
            answers.append(s.recv(1000))
        except ConnectionError:
            answers.append(b"")
    expect(sum(a.startswith(b"HTTP/1.1 503") for a in answers) >= 3, f"{answers}")
    expect(time.monotonic() - start < 8, "silent clients are kept")
    wait("there is room again", lambda: Client(port).ask("/healthz")[0] == 200)


def ready(port):
    wait("it is ready", lambda: Client(port).ask("/readyz")[0] == 200)


def lags(port, is_stale):
    """Whether the answer says that the service has stopped."""
    client = Client(port)

    def lag():
        status, headers, answer = client.rank([{"user": "u1", "item": "i1"}])
        late = [v for v in answer["rows"][0]["views"] if v["status"] == "OUTSIDE_MAX_AGE"] if status == 200 else []
        known = all(v["lag_ms"] is not None for v in answer["rows"][0]["views"])
        # The values are there all the same.
        expect(answer["rows"][0]["values"][1] is not None, f"{answer}")
        return status == 200 and bool(late) == (is_stale == "yes") and known
    wait(f"stale is {is_stale}", lag)

    def strict():
        status, headers, body = client.ask("/v1/services/strict", {"rows": [{"user": "u1"}]})
        return status == 200 if is_stale == "no" else status == 503 and b"lag behind" in body and "retry-after" in headers
    if not wait(f"a service that fails when stale does: {is_stale}", strict):
        problems.append(f"{client.ask('/v1/services/strict', {'rows': [{'user': 'u1'}]})}")


def load(port, marker):
    """Asks until the file MARKER is there, then until only version 2 answers. No answer may mix versions."""
    import os
    seen, stop = {}, threading.Event()

    def run():
        client = Client(port)
        while not stop.is_set():
            status, _, answer = client.rank([{"user": f"u{i}", "item": f"i{i}"} for i in range(20)])
            if status != 200:
                problems.append(f"{status} {answer}")
                return
            version = answer["version"]
            place = answer["names"].index("of_version")
            mixed = [r for r in answer["rows"] if r["values"][place] != version]
            more = ("extra" in answer["names"]) == (version == 2)
            expect(not mixed and more, f"version {version}: {answer['names']} {mixed[:1]}")
            seen[version] = seen.get(version, 0) + 1
    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait("version 1 answers", lambda: seen.get(1, 0) > 50)
    print("loaded", flush=True)
    open(marker + ".loaded", "w").close()
    wait("the promotion", lambda: os.path.exists(marker))
    before = seen.get(1, 0)
    wait("version 2 answers", lambda: seen.get(2, 0) > 50)
    # Whoever asks after the promotion gets the new version.
    expect(Client(port).rank([{"user": "u1", "item": "i1"}])[2]["version"] == 2, "an old answer after the promotion")
    stop.set()
    for thread in threads:
        thread.join()
    print(f"answers by version: {seen}, of version 1 after the promotion began: {seen.get(1, 0) - before}")


def record(port, marker, out):
    """Asks with some clients until the file MARKER is there, and writes each request with its answer, a JSON object a line."""
    import os
    import random
    lines = []
    # Until a task has said how far it is, all that it holds is taken for too old.
    keys = [{"user": f"u{number}", "item": f"i{number}"} for number in range(20)]
    wait("the lag is known", lambda: all(
        view["lag_ms"] is not None
        for row in json.loads(Client(port).ask("/v1/services/plain", {"rows": keys})[2])["rows"] for view in row["views"]))

    def run(number):
        client, random_ = Client(port), random.Random(number)
        while not os.path.exists(marker):
            # Some that nobody knows, and some that aren't told.
            rows = [{"user": f"u{random_.randrange(330)}", "item": random_.choice([f"i{random_.randrange(220)}", None]),
                     "price": random_.choice([None, 1.5, random_.random() * 100])} for _ in range(random_.randrange(1, 12))]
            status, _, body = client.ask("/v1/services/ranking", {"rows": rows})
            answer = json.loads(body)
            expect(status == 200 and len(answer["rows"]) == len(rows), f"{status} {answer}")
            lines.append(json.dumps({"rows": rows, "answer": answer}))
    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open(out, "w") as file:
        file.write("\n".join(lines))
    print(f"{len(lines)} requests were answered while events came")


def rows_of_answers(port, answers, table, share):
    """The rows that were made of the log are the answers that clients got: of some requests all, of the others none."""
    made = {}
    for line in open(table):
        row = json.loads(line)
        made.setdefault(row["request_id"], {})[row["row"]] = row
    asked = [json.loads(line) for line in open(answers)]
    chosen = 0
    for request in asked:
        answer = request["answer"]
        rows = made.pop(answer["request_id"], None)
        if rows is None:
            continue
        chosen += 1
        expect(sorted(rows) == list(range(len(request["rows"]))), f"{answer['request_id']}: rows {sorted(rows)}")
        for index, (sent, got) in enumerate(zip(request["rows"], answer["rows"])):
            expected = {"request_id": answer["request_id"], "row": index, "requested_at": answer["at"], **sent,
                        **dict(zip(answer["names"], got["values"]))}
            expect(rows.get(index) == expected, f"{rows.get(index)} is not {expected}")
    expect(not made, f"rows of requests that nobody made: {list(made)[:3]}")
    expect(len(asked) > 100 and abs(chosen / len(asked) - float(share)) < 0.2, f"{chosen} of {len(asked)} are logged")
    views = [v for r in asked for row in r["answer"]["rows"] for v in row["views"]]
    seen = {status: sum(v["status"] == status for v in views) for status in ("PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE", "INVALID")}
    expect(all(seen.values()), f"not every kind of answer was there: {seen}")
    print(f"{chosen} of {len(asked)} requests are rows; states: {seen}")


def threefold(port, got, table):
    """The rows of `plumb get --service`, those of `plumb training-set --service` and answers for one time have the same
    columns and values."""
    client = Client(port)
    rows = [json.loads(line) for line in open(got)]
    trained = {(r["user"], r["item"]): r for r in map(json.loads, open(table))}
    status, _, answer = client.rank([{"user": r["user"], "item": r["item"]} for r in rows], at=rows[0]["at"])
    expect(status == 200, f"{status} {answer}")
    for row, answered in zip(rows, answer["rows"]):
        values = dict(zip(answer["names"], answered["values"]))
        expect(list(row) == ["service", "version", "at", "user", "item"] + answer["names"], f"get: {list(row)}")
        expect({n: row[n] for n in answer["names"]} == values, f"get: {row} is not {values}")
        training = trained[row["user"], row["item"]]
        expect(list(training) == ["user", "item", "price", "ts"] + answer["names"], f"training-set: {list(training)}")
        expect({n: training[n] for n in answer["names"]} == values, f"training-set: {training} is not {values}")
    kinds = {v["status"] for r in answer["rows"] for v in r["views"]}
    expect({"PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE"} <= kinds, f"{kinds}")


def prediction(number, **more):
    return {"id": f"p{number}", "user": f"u{number % 40}", "item": f"i{number % 7}", "score": number / 8,
            "ts": int(time.time() * 1000), **more}


def predict(port):
    """Clients that write at the same time, some of them rows that nobody could use."""
    def run(offset):
        client = Client(port)
        for start in range(0, 200, 10):
            rows = [prediction(offset + start + index) for index in range(10)]
            rows[3] = prediction(3, scor=1)
            rows[7]["ts"] = "yesterday"
            status, _, body = client.ask("/v1/predictions/clicks", {"rows": rows})
            answer = json.loads(body)
            if status != 200:
                problems.append(f"{status} {answer}")
                return
            states = [row["status"] for row in answer["rows"]]
            expect(states == ["accepted" if index not in (3, 7) else "refused" for index in range(10)], f"{answer}")
            expect((answer["accepted"], answer["refused"]) == (8, 2), f"{answer}")
            expect("did you mean 'score'?" in answer["rows"][3]["detail"] and "'ts'" in answer["rows"][7]["detail"], f"{answer}")
    client = Client(port)
    # Kafka may just have come back.
    wait("rows are taken", lambda: client.ask("/v1/predictions/clicks", {"rows": [prediction(0)]})[0] == 200)
    threads = [threading.Thread(target=run, args=(number * 1000,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for body, status, detail in (("{", 400, "no JSON"), ({"rows": []}, 400, '{"rows"'), ({"rows": [{}], "x": 1}, 400, '{"rows"'),
                                 ({"rows": [{}] * 1001}, 413, "1001 rows")):
        got, _, answer = client.ask("/v1/predictions/clicks", body)
        expect(got == status and detail in json.loads(answer)["detail"], f"{body}: {got} {answer}")
    got, _, answer = client.ask("/v1/predictions/click", {"rows": [{}]})
    expect(got == 404 and b"did you mean 'clicks'?" in answer, f"{got} {answer}")
    expect(client.ask("/v1/predictions/clicks")[0] == 405, "GET")
    document = json.loads(client.ask("/openapi.json")[2])
    members = document["paths"]["/v1/predictions/clicks"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    expect(list(members["properties"]["rows"]["items"]["properties"]) == ["id", "user", "item", "score", "ts"], f"{members}")


def predicted(port):
    """The service has folded what was taken, and nothing else."""
    client = Client(port)
    metrics = client.ask("/metrics")[2].decode()
    line = next(l for l in metrics.split("\n") if l.startswith("plumb_predictions_total") and 'outcome="accepted"' in l)

    def total():
        status, _, body = client.ask("/v1/services/ranking", {"rows": [{"user": f"u{u}"} for u in range(40)]})
        return status == 200 and sum(row["values"][0] for row in json.loads(body)["rows"]) == int(line.split()[-1])
    wait(f"the features count what was taken: {line}", total)


def unpredicted(port):
    """Without brokers: an error that says when to send again, in the time that a request may take and not much more."""
    client = Client(port)
    for _ in range(2):
        start = time.monotonic()
        status, headers, body = client.ask("/v1/predictions/clicks", {"rows": [prediction(1)]})
        expect(status == 503 and headers.get("retry-after") == "1" and b"send them again" in body, f"{status} {body}")
        expect(time.monotonic() - start < 10, f"it took {time.monotonic() - start} s")
    # What nobody could use is refused all the same, and features are read.
    status, _, body = client.ask("/v1/predictions/clicks", {"rows": [{"scor": 1}]})
    expect(status == 200 and json.loads(body)["refused"] == 1, f"{status} {body}")
    status, _, body = client.ask("/v1/services/ranking", {"rows": [{"user": "u1"}]})
    expect(status == 200, f"{status} {body}")


def may_predict(port):
    body = {"rows": [prediction(1)]}
    for token, status in ((None, 401), ("reader-0123456789", 403), ("writer-0123456789", 200), ("anyone-0123456789", 200)):
        got = Client(port, token).ask("/v1/predictions/clicks", body)
        expect(got[0] == status, f"{token}: {got}")
    # Who may write one source learns of no other, and reads nothing.
    expect(Client(port, "writer-0123456789").ask("/v1/predictions/other", body)[0] == 403, "another source")
    expect(Client(port, "anyone-0123456789").ask("/v1/predictions/other", body)[0] == 404, "a source that isn't there")
    expect(Client(port, "writer-0123456789").ask("/v1/registry")[0] == 403, "the registry")


def takes_none(port):
    status, _, body = Client(port).ask("/v1/predictions/clicks", {"rows": [prediction(1)]})
    expect(status == 404 and b"--predictions" in body, f"{status} {body}")


def tls(port, authority):
    """With a certificate that this file vouches for, and with clients that don't speak TLS."""
    context = ssl.create_default_context(cafile=authority)

    def connected():
        try:
            client = Client(port)
            client.connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
            client.ask("/healthz")
            return client
        except ssl.SSLError:
            return None
    if not wait("the certificate is served", lambda: connected() is not None):
        return
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"a" * 5000, b"\x16\x03\x01"):
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(noise)
    client = connected()
    wait("it is ready", lambda: client.ask("/readyz")[0] == 200)
    # Answers of many records, and several on one connection.
    rows = [{"user": f"u{i}", "item": f"i{i}"} for i in range(900)]
    first = client.rank(rows, at="2033-01-02T03:04:05Z")
    expect(first[0] == 200 and len(first[2]["rows"]) == 900, f"{first[0]}")
    for _ in range(20):
        expect(client.rank(rows, at="2033-01-02T03:04:05Z")[2]["rows"][-1] is not None, "no rows")
    # The oldest protocols are refused.
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with old.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost") as s:
        expect(s.version() == "TLSv1.2", s.version())
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := s.recv(4096):
            answer += part
        expect(answer.startswith(b"HTTP/1.1 200"), f"{answer}")


def through(port, marker):
    """Asks over a network that is cut meanwhile; once a file says that it is mended, it is answered again."""
    client = Client(port)
    row = [{"user": "u1", "item": "i1"}]
    expect(client.rank(row)[0] == 200, "not answered")
    print("asked", flush=True)
    is_cut = False
    while not is_cut:
        start = time.monotonic()
        try:
            expect(client.rank(row)[0] == 200, "not answered")
            is_cut = time.monotonic() - start > 1
        except OSError:
            is_cut = True
    wait("the network is mended", lambda: os.path.exists(marker))
    client = Client(port)
    expect(client.rank(row)[0] == 200, "not answered afterwards")


def half_closed(port):
    """Clients that send no more, more of them than there is room for at a time: some have asked, some have begun to."""
    client = Client(port)
    for index in range(100):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
            s.sendall([b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /hea", b""][index % 3])
            s.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while part := s.recv(4096):
                    answer += part
            except ConnectionError:
                pass
            expect(not answer or answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400")), f"{answer}")
    expect(client.ask("/healthz")[0] == 200, "not answered afterwards")


if __name__ == "__main__":
    check, port, *rest = sys.argv[1:]
    globals()[check](int(port), *rest)
    for problem in problems[:20]:
        print(problem)
    sys.exit(1 if problems else 0)
