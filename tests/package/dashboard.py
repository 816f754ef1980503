"""Loads a dashboard into Grafana's own model and back, and prints what did not survive: unknown keys, wrong types.

    dashboard.py FILE
"""
import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def differences(ours, theirs, where="dashboard"):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in theirs:
                yield from differences(value, theirs[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}: not known to Grafana"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, pair in enumerate(zip(ours, theirs)):
            yield from differences(*pair, f"{where}[{index}]")
    elif ours != theirs:
        yield f"{where}: {ours!r} became {theirs!r}"


with open(sys.argv[1], encoding="utf-8") as file:
    DASHBOARD = json.load(file)
LOADED = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARD)))
print(f"{len(LOADED['panels'])} panels")
print("\n".join(differences(DASHBOARD, LOADED)))
