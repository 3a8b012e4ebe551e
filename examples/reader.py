"""Features for a ranker: python3 reader.py user_id item_id... (needs nothing but Python; the server is plumb serve)."""
import http.client
import json
import os
import sys

user, *items = sys.argv[1:]
server = http.client.HTTPConnection(os.environ.get("PLUMB_SERVER", "127.0.0.1:6566"), timeout=2)
headers = {"Content-Type": "application/json"}
if token := os.environ.get("PLUMB_TOKEN"):
    headers["Authorization"] = f"Bearer {token}"
rows = [{"user_id": user, "item_id": item, "category": "c1"} for item in items]
server.request("POST", "/v1/services/ranker", json.dumps({"rows": rows, "inputs": {"price": 9.5}}), headers)
response = server.getresponse()
answer = json.load(response)
if response.status != 200:
    sys.exit(f"{response.status}: {answer['detail']}")
for item, row in zip(items, answer["rows"]):
    features = dict(zip(answer["names"], row["values"]))
    print(item, {name: features[name] for name in ("user_activity__clicks_1h", "item_popularity__ctr_24h", "price_vs_usual")})
