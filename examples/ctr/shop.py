"""The shop: asks for features, predicts, tells what it has predicted, and sends what people do. Its time is its own: events and requests
carry the times of a shop in 2026, a step after the other, and a step begins when everything before it has been folded."""
import datetime
import http.client
import itertools
import json
import os
import re
import subprocess
import sys
import time

import numpy

import train

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
COLLECTED, SHIFTED, END = (START + datetime.timedelta(hours=hours) for hours in (36, 62, 74))
STEP = datetime.timedelta(minutes=30)
DUE = datetime.timedelta(minutes=32)  # As the join's within and wait.
SHOP = os.environ["PLUMB_CTR_SHOP"].split()
SOURCE = ("event_id", "ts", "user_id", "item_id", "category", "event_type")


def milliseconds(moment):
    return round(moment.timestamp() * 1000)


class Server:
    """plumb serve; who asks waits while it is away. Requests and records have ids, so that asking again changes nothing."""

    connection = None

    def post(self, path, body):
        for attempt in itertools.count():
            try:
                if self.connection is None:
                    with open(os.path.join(train.WORK, "serve.log")) as log:
                        port = re.findall(r"listening.* port=(\d+)", log.read())[-1]
                    self.connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
                self.connection.request("POST", path, json.dumps(body))
                answer = self.connection.getresponse()
                text = answer.read().decode()
                if answer.status == 200:
                    return json.loads(text)
                problem = f"{answer.status} {text}"
                if answer.status < 500:
                    sys.exit(f"POST {path}: {problem}")
            except (OSError, IndexError, http.client.HTTPException) as error:
                problem, self.connection = repr(error), None
            if attempt == 600:
                sys.exit(f"POST {path}: {problem}")
            time.sleep(0.05)

    def send(self, source, rows):
        for start in range(0, len(rows), 1000):
            answer = self.post(f"/v1/predictions/{source}", {"rows": rows[start:start + 1000]})
            if answer["refused"]:
                sys.exit(f"{source}: {[row for row in answer['rows'] if row['status'] == 'refused'][0]}")

    def catch_up(self, now):
        """Waits until what was sent has been folded, by what the clock sends last."""
        wanted = {"user": now, "user_category": now, "user_item": now, "item": now, "model_inputs": now, "model_quality": now - DUE}
        for attempt in itertools.count():
            row = dict.fromkeys(("user_id", "item_id", "category", "model_version"), "clock")
            answer = self.post("/v1/services/clock", {"at": now.isoformat(), "rows": [row]})
            come = {view: state["as_of"] for view, state in zip(answer["views"], answer["rows"][0]["views"])}
            behind = [view for view, least in wanted.items()
                      if least > START and (come[view] is None or datetime.datetime.fromisoformat(come[view]) < least)]
            if not behind:
                return
            if attempt == 20_000:
                sys.exit(f"{now}: {behind} stand still, at {come}; see the logs in {train.WORK}")
            time.sleep(0.01)


def pages():
    """Who looks at what, from the generator: the items of a page come within a second of each other."""
    visits = subprocess.Popen([os.environ["PLUMB"], "generate", *os.environ["PLUMB_CTR_VISITS"].split()], stdout=subprocess.PIPE)
    open_pages, done = {}, []
    for line in visits.stdout:
        event = json.loads(line)
        if event["event_type"] != "impression":
            continue
        if event["ts"] >= milliseconds(END):
            break
        page = open_pages.get(event["session_id"])
        if page is None or event["ts"] - page[-1]["ts"] > 1000:
            page = open_pages[event["session_id"]] = []
            done.append(page)
        page.append(event)
    visits.stdout.close()
    visits.wait()
    return done


def rank(server, page, model, version):
    """A request for a page: the features as they are now, and what the model makes of them."""
    request, at = f"{page[0]['session_id']}-{page[0]['ts']}", page[0]["ts"]
    rows = [{name: event[name] for name in ("user_id", "item_id", "category")} for event in page]
    moment = START + datetime.timedelta(milliseconds=at - milliseconds(START))
    answer = server.post("/v1/services/ranking", {"request_id": request, "at": moment.isoformat(), "rows": rows})
    scores = [0.05] * len(rows)
    if model:
        order = [answer["names"].index(name) for name in model.feature_name()]
        values = numpy.array([[row["values"][place] for place in order] for row in answer["rows"]], dtype=float)
        scores = model.predict(values, num_threads=1).tolist()
    return [{"prediction_id": f"{request}.{number}", "ts": at, "model_version": version, "user_id": row["user_id"],
             "item_id": row["item_id"], "score": score} for number, (row, score) in enumerate(zip(rows, scores))]


def react(shown):
    """What people do with what they are shown."""
    command = [os.environ["PLUMB"], "generate", "--shown", "-", "--shift", str(milliseconds(SHIFTED)), *SHOP]
    lines = "".join(json.dumps(row) + "\n" for row in shown)
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [{name: event[name] for name in SOURCE} for event in events]


def answered(trigger):
    """Waits until plumb on-trigger has had a model trained because of a trigger; returns what is known of that."""
    for _ in range(2400):
        for name in os.listdir(train.MODELS):
            if name.isdigit():
                about = train.load(os.path.join(train.MODELS, name))[1]
                is_live = os.path.basename(os.path.realpath(train.LIVE)) == name
                if about["trigger"] == trigger and (is_live or about["auc"] <= about["champion_auc"]):
                    return about
        time.sleep(0.05)
    sys.exit(f"nothing came of the trigger {trigger}: see on-trigger.log in {train.WORK}")


def send(server, shown, coming, now):
    """What was predicted and what people have done until now, and the clock behind both; returns what they will do later."""
    tick = {"ts": milliseconds(now), "user_id": "clock", "item_id": "clock"}
    clocks = [tick | {"ts": milliseconds(moment), "prediction_id": f"clock-{moment}", "model_version": "clock", "score": 0.5}
              for moment in (now + STEP - DUE, now)]  # The first is the last that is due when the next step is over.
    server.send("predictions", sorted(shown + clocks, key=lambda row: row["ts"]))
    events = sorted(coming + react(shown), key=lambda event: event["ts"])
    happened = [event for event in events if event["ts"] <= tick["ts"]]
    server.send("clicks", happened + [tick | {"event_id": f"clock-{now}", "category": "clock", "event_type": "tick"}])
    return events[len(happened):]


def watch(server, version, now, told):
    """How good the model is; when a trigger has fired, what has come of it."""
    answer = server.post("/v1/services/quality", {"at": now.isoformat(), "rows": [{"model_version": version}]})
    quality = dict(zip(answer["names"], answer["rows"][0]["values"]), at=str(now), version=version)
    told["quality"].append(quality)
    if now.hour % 6 == 0 and now.minute == 0:
        print(f"{now:%a %H:%M}  {version}: AUC {quality['model_quality__auc_6h'] or 0:.3f} in six hours", flush=True)
    if not quality["model_quality__is_worse"]:
        return
    fired = [json.loads(line) for line in train.plumb("triggers", "tail", "-d", train.DEFINITIONS).splitlines()]
    for firing in fired[len(told["triggers"]):]:
        what = f"{firing['trigger']} of {firing['entity']['model_version']} for {firing['at']}"
        print(f"{now:%a %H:%M}  trigger {what}: {firing['values']}", flush=True)
        told["triggers"].append(firing | {"seen": str(now), "answer": answered(firing["id"])})


def main():
    server, visits, model, live, version = Server(), pages(), None, None, "v0"
    told = {"quality": [], "triggers": [], "scores": {}}
    now, next_page, asked, coming = START, 0, 0.0, []
    while now < END:
        if os.path.exists(train.LIVE) and os.path.realpath(train.LIVE) != live:
            live = os.path.realpath(train.LIVE)
            model, about = train.load(live)
            version = about["version"]
            print(f"{now:%a %H:%M}  {version} serves", flush=True)
        now += STEP
        shown, began = [], time.perf_counter()
        while next_page < len(visits) and visits[next_page][0]["ts"] < milliseconds(now):
            shown += rank(server, visits[next_page], model, version)
            next_page += 1
        asked += time.perf_counter() - began
        coming = send(server, shown, coming, now)
        server.catch_up(now)
        if model:
            told["scores"].update((row["prediction_id"], (version, row["score"])) for row in shown)
            watch(server, version, now, told)
        elif now >= COLLECTED:
            print(train.promote(train.train(START, now - 2 * STEP, None)), flush=True)
    told |= {"requests": next_page, "milliseconds": 1000 * asked / next_page}
    with open(os.path.join(train.WORK, "told.json"), "w") as file:
        json.dump(told, file)


if __name__ == "__main__":
    main()
