import os

import tidings.celery
from celery import Celery, Task
from flask import Flask


def create_app() -> Flask:
    app = Flask(__name__)
    redis = os.environ["REDIS_URL"].replace("unix://", "redis+socket://")
    app.config.from_mapping(CELERY={"broker_url": redis, "result_backend": redis, "task_ignore_result": True})
    celery_init_app(app)

    from . import views

    app.register_blueprint(views.bp)
    return app


def celery_init_app(app: Flask) -> Celery:
    class FlaskTask(Task):
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    tidings.celery.install(celery_app)
    return celery_app
