from celery import chord
from flask import Blueprint, request

from . import tasks

bp = Blueprint("tasks", __name__, url_prefix="/tasks")


@bp.post("/add")
def add() -> dict[str, object]:
    return {"result_id": tasks.add.delay(int(request.form["a"]), int(request.form["b"])).id}


@bp.post("/block")
def block() -> dict[str, object]:
    return {"result_id": tasks.block.delay().id}


@bp.post("/process")
def process() -> dict[str, object]:
    return {"result_id": tasks.process.delay(total=int(request.form["total"])).id}


@bp.post("/report")
def report() -> dict[str, object]:
    pages = [tasks.process.s(total=n) for n in (2, 3)]
    return {"result_id": chord(pages, tasks.collect.s()).delay().id}
