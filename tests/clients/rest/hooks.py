"""Gives generated requests the names of things that are there, so that they reach the work itself.

Only requests that fit the document are touched, and of those every second one: a request that is to be
refused stays as it was made.
"""

import os
import re
import time

import requests
import schemathesis

BASE = os.environ["DRBACKUP_REST"]
INSTANCE = os.environ["DRBACKUP_REST_INSTANCE"]
PLACE = {"cloud": os.environ["DRBACKUP_REST_CLOUD"], "tenant": os.environ["DRBACKUP_REST_TENANT"]}
JSON = {"Content-Type": "application/json"}

# What makes one of each; the rest of a body is what was generated.
ANEW = {
    "openstack-dr-backups": {**PLACE, "source_instance": INSTANCE},
    "openstack-backups": {**PLACE, "instance": INSTANCE},
    "openstack-backup-schedules": {**PLACE, "instance": INSTANCE, "schedule": "0 2 * * *"},
}
# Which backups a restoration is of.
OF = {
    "openstack-dr-backup-restorations": "openstack-dr-backups",
    "openstack-backup-restorations": "openstack-backups",
}

touched = 0


def rows(noun: str) -> list[dict]:
    """What is there of a noun, good ones first."""
    listed = requests.get(f"{BASE}/api/{noun}/", timeout=10).json()
    return sorted(listed, key=lambda row: row["state"] != "OK")


def make(noun: str) -> None:
    """Makes one of a noun and waits until it is good."""
    made = requests.post(f"{BASE}/api/{noun}/", json=anew(noun), headers=JSON, timeout=10)
    made.raise_for_status()
    for _ in range(300):
        if requests.get(BASE + made.json()["url"], timeout=10).json()["state"] == "OK":
            return
        time.sleep(0.1)
    raise RuntimeError(f"{noun} did not come to rest: {made.json()}")


def anew(noun: str) -> dict:
    """The part of a body that has to name what is there."""
    if noun in ANEW:
        return ANEW[noun]
    backups = rows(OF[noun])
    body = {"backup": backups[0]["url"]} if backups else {}
    return {**body, **PLACE} if noun == "openstack-dr-backup-restorations" else body


for noun in [*ANEW, *OF]:
    make(noun)


@schemathesis.hook
def before_call(context, case, kwargs):
    global touched
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    touched += 1
    if touched % 2:
        return
    noun = re.match(r"/api/([a-z-]+)/", case.path)[1]
    if "uuid" in (case.path_parameters or {}):
        field = "uuid"
        if noun == "openstack-instances":
            noun, field = "openstack-dr-backup-restorations", "instance_uuid"
        there = rows(noun)
        if there:
            case.path_parameters["uuid"] = there[0][field]
    elif case.method == "POST" and isinstance(case.body, dict):
        case.body = {**case.body, **anew(noun)}
