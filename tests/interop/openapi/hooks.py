"""What a description cannot say: which tasks exist, that a cursor comes from a page before, that an id is limited in bytes."""

import random

import schemathesis

TASKS = ["build-42", "running"]
MOST_ID_BYTES = 253
MOST_PAGE_LINES = 10_000


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Half of the requests name a task that exists; otherwise nearly all would be answered 404."""
    task = (path_parameters or {}).get("taskId")
    if task is None:
        return path_parameters
    draw = random.Random(task)
    if draw.random() < 0.5:
        task = draw.choice(TASKS)
    return {**path_parameters, "taskId": str(task).encode()[:MOST_ID_BYTES].decode(errors="ignore")}


@schemathesis.hook
def map_query(context, query):
    """No cursor of its own making; an empty parameter counts as absent; no end before the beginning."""
    if not query:
        return query
    query = {name: value for name, value in query.items() if name != "cursor" and value != ""}
    if "since" in query:
        # Which of two times is the earlier one.
        query.pop("until", None)
    return query


@schemathesis.hook
def filter_query(context, query):
    """The bound on `limit` is that of JSON pages."""
    limit = str((query or {}).get("limit", ""))
    is_page = (query or {}).get("format", "json") == "json"
    return is_page or not limit.isdigit() or int(limit) <= MOST_PAGE_LINES
