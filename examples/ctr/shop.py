"""The shop: asks for features, predicts, and sends what people do. Each step of its own time begins when the one before is folded."""
import json
import os
import time

import pandas
import urllib3

import train

# Milliseconds, as the generator has them. DUE: within and wait of the model's outcome.
START, MINUTE, STEP, DUE = 1767225600000, 60_000, 1_800_000, 1_920_000
COLLECTED, SHIFTED, END = (START + 60 * MINUTE * hours for hours in (36, 62, 74))
SHOP, TRAFFIC = os.environ["PLUMB_CTR_SHOP"].split(), os.environ["PLUMB_CTR_TRAFFIC"].split()
CLOCK = dict(user_id="clock", item_id="clock", category="clock")
# Who asks waits while the server is away. Requests and records have ids, so asking again changes nothing.
AGAIN = urllib3.Retry(200, backoff_factor=0.05, backoff_max=0.5, status_forcelist=(500, 502, 503, 504), allowed_methods=None)
SERVER = urllib3.PoolManager(timeout=30, retries=AGAIN)


def text(moment):
    return pandas.Timestamp(moment, unit="ms").isoformat() + "Z"


def post(path, body):
    answer = SERVER.request("POST", os.environ["PLUMB_CTR_SERVER"] + path, json=body)
    if answer.status != 200 or answer.json().get("refused"):
        raise RuntimeError(f"POST {path}: {answer.status} {answer.data.decode()}")
    return answer.json()


def pages():
    """Who looks at what, from the generator: what a session shows within a minute is a page. The last comes first."""
    found = {}
    for event in map(json.loads, train.plumb("generate", *SHOP, *TRAFFIC).splitlines()):
        if event["event_type"] == "impression":
            found.setdefault((event["session_id"], event["ts"] // MINUTE), []).append(event)
    return list(reversed(found.values()))


def rank(page, model, version):
    """The items of a page with their features as they are now, and what a model makes of them."""
    request, at = f"{page[0]['session_id']}-{page[0]['ts']}", page[0]["ts"]
    rows = [{name: event[name] for name in CLOCK} for event in page]
    answer = post("/v1/services/ranking", {"request_id": request, "at": text(at), "rows": rows})
    told = [row | dict(zip(answer["names"], known["values"])) for row, known in zip(rows, answer["rows"])]
    known = train.features(pandas.DataFrame(told))
    scores = model.predict(known[model.feature_name()], num_threads=1).tolist() if model else [None] * len(rows)
    return [{name: row[name] for name in ("user_id", "item_id", *train.DRIFTING)}
            | dict(prediction_id=f"{request}.{number}", ts=at, model_version=version, score=score)
            for number, (row, score) in enumerate(zip(told, scores))]


def send(shown, coming, now):
    """Sends what was predicted and what people have done until now, and waits until it is folded; returns what they will do later."""
    # The clock's first prediction is the last that is due when the next step is over; the other is the last of all.
    clock = [CLOCK | dict(prediction_id=f"clock-{at}", ts=at, model_version="clock", score=0.5) for at in (now + STEP - DUE, now)]
    predictions = sorted([row for row in shown if row["score"] is not None] + clock, key=lambda row: row["ts"])
    post("/v1/predictions/ranker_predictions", {"rows": predictions})
    reactions = train.plumb("generate", *SHOP, "--shown", "-", "--shift", str(SHIFTED), input="\n".join(map(json.dumps, shown)))
    events = sorted(coming + [json.loads(line) for line in reactions.splitlines()], key=lambda event: event["ts"])
    happened = [event for event in events if event["ts"] <= now]
    post("/v1/predictions/clicks", {"rows": happened + [CLOCK | dict(event_id=f"clock-{now}", ts=now, event_type="tick")]})
    query, reached = {"at": text(now), "rows": [CLOCK | {"model_version": "clock"}]}, {text(now), text(now - DUE) if now > START else None}
    while {state["as_of"] for state in post("/v1/services/clock", query)["rows"][0]["views"]} != reached:
        time.sleep(0.01)
    return events[len(happened):]


def watch(version, now):
    """Notes how good a version is. If a trigger has fired, waits for the model that plumb on-trigger has trained."""
    told = train.plumb("monitor", "-d", train.DEFINITIONS, "ranker", "--json", "--at", text(now)).splitlines(keepends=True)
    with open(train.WORK / "monitor.ndjson", "a") as file:
        file.writelines(line for line in told if json.loads(line)["model_version"] == version)
    for fired in map(json.loads, train.plumb("triggers tail", "-d", train.DEFINITIONS).splitlines()):
        if not (train.MODELS / fired["id"] / "about.json").exists():
            print(f"{text(now)}  trigger {fired['trigger']} for {fired['at']}: {fired['values']}", flush=True)
        while not (train.MODELS / fired["id"] / "about.json").exists():
            time.sleep(0.05)


def main():
    now, coming, visits, serving, model = START, send([], [], START), pages(), {"version": None}, None
    while now < END:
        if train.live() not in (None, serving):
            serving, model = train.live(), train.load(train.live())
            print(f"{text(now)}  {serving['version']} serves: AUC {serving['auc']:.4f} against {serving['champion_auc']:.4f}", flush=True)
        now, shown = now + STEP, []
        while visits[-1][0]["ts"] < now:
            shown += rank(visits.pop(), model, serving["version"])
        coming = send(shown, coming, now)
        if model:
            watch(serving["version"], now)
        elif now >= COLLECTED:
            train.train("first", text(START), text(now - 2 * STEP))


if __name__ == "__main__":
    main()
